//! Stock kernels from the distribution's archive, without building anything.
//!
//! The machine's own apt does the transport (mirror, proxy, authentication); this module decides what to ask for and
//! checks what came: the suite's `InRelease` against the distribution's keyring, the package index against the release
//! file, each package against the index, and the unpacked kernel against its own header.
//!
//! Pure: `stanza`, `date`, `target`, `series`, `release`, `index`, `candidate`, `request`. The rest does I/O.

mod apt;
mod candidate;
mod catalogue;
mod date;
mod deb;
mod entry;
mod error;
mod index;
mod kept;
mod local;
mod modules;
mod package;
mod release;
mod request;
mod run;
mod series;
mod source;
mod stanza;
mod target;
mod verify;

pub use candidate::{Candidate, Layout};
pub(crate) use entry::write_entry;
pub use error::FetchError;
pub use index::Package;
pub use modules::modules;
pub use package::unpack;
pub use request::Request;
pub use run::{Listed, SchedExt, fetch, list};
pub use source::unpack_source;

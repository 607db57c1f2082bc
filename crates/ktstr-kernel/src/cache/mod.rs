//! The cache of kernels: where it is, what an entry holds, how one is written and checked.
//!
//! ```text
//! <cache>/kernels/<version>/{vmlinuz,vmlinux,config,metadata.json}
//! <cache>/modules/<version>/…          modules of a kernel, on demand
//! <cache>/schedulers/<name>-<version>/bin/<name>
//! <cache>/indices/<sha256>.json        kernels named by a package index, by the hash of that index
//! <cache>/tools/<name>/                programs that only a check uses (xtask)
//! ```
//!
//! Everything appears by one rename of a complete, synced directory, under a lock per entry, so a reader sees all of an
//! entry or nothing. What an entry holds is compared with its hashes before it is used.

mod clean;
mod entry;
mod error;
mod hash;
mod metadata;
mod publish;
mod root;
mod stamp;

pub use clean::Cleaned;
pub use entry::CacheEntry;
pub use error::CacheError;
pub use hash::{sha256_file, sha256_hex};
pub use metadata::{FileRecord, METADATA_SCHEMA, Metadata, PackageRecord};
pub use publish::publish_dir;
pub use root::Cache;
pub use stamp::file_stamp;

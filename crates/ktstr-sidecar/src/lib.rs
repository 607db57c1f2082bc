#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod record;
mod session;
mod store;
mod variant;
mod verifier;

pub use record::{SCHEMA_VERSION, SidecarRecord};
pub use session::{Location, record_dir};
pub use store::{StoreError, read_records, write_record};
pub use variant::{VariantKey, variant_hash};
pub use verifier::{VERIFIER_LIMIT, VERIFIER_WARNING, VerifierRecord};

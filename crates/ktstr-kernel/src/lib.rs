//! Kernels: what they are called (pure), where they are, and how stock ones are fetched.
#![deny(missing_docs)]

mod accept;
mod id;
mod label;
mod list;
mod suffix;
mod version;

pub use accept::{check_kernel_specs, kernel_accepts};
pub use id::{GitRef, KernelId, KernelIdError};
pub use label::{SanitizedKernelLabel, sanitize_kernel_label};
pub use list::{KernelEntry, KernelListError, parse_kernel_list, write_kernel_list};
pub use suffix::{SuffixError, strip_kernel_suffix};
pub use version::{VersionKey, decompose_version_for_compare};

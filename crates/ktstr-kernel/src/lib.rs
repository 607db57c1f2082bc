//! Kernels: what they are called (pure), where they are, and how stock ones are fetched.
#![deny(missing_docs)]

mod accept;
mod build;
pub mod cache;
mod config;
pub mod fetch;
pub mod find;
mod id;
pub mod image;
mod label;
mod list;
mod progress;
mod published;
pub mod scheduler_cache;
mod suffix;
mod version;

pub use accept::{check_kernel_specs, kernel_accepts};
pub use build::{BuildError, build};
pub use find::commit_of_release;
pub use id::{GitRef, KernelId, KernelIdError};
pub use label::{SanitizedKernelLabel, sanitize_kernel_label};
pub use list::{KernelEntry, KernelListError, parse_kernel_list, write_kernel_list};
pub use progress::{Console, Progress, Silent};
pub use suffix::{SuffixError, strip_kernel_suffix};
pub use version::{VersionKey, decompose_version_for_compare};

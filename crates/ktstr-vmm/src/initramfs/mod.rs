//! The initramfs: a large part that only changes with the binaries, cached by content, and on QEMU a small one for each run.

pub mod cpio;
mod elf_deps;
mod index;
mod layer;
mod strip;

pub use elf_deps::{DepsError, shared_libraries};
pub use layer::{BaseSpec, build_base_layer};
pub use strip::without_debug_sections;

//! QEMU as a child process, translating (TCG).

mod args;
mod child;
mod turns;

pub use args::qemu_arguments;
pub use child::{QEMU_PACKAGE, QEMU_PROGRAM, qemu_version};

pub(crate) use child::{Monitor, Pipes};

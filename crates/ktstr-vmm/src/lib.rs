//! One virtual machine interface over several accelerators.
//!
//! [`Vm`] boots a kernel with an initramfs on a machine of a declared [topology](ktstr_topology::Topology) and hands back
//! everything that came out of it. It does not judge: a clean power-off is only one of the things a verdict needs.
#![deny(missing_docs)]

mod accel;
mod cmdline;
mod config;
mod deadline;
mod event;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod host;
pub mod initramfs;
mod keyboard;
mod kvm;
mod running;
mod tcg;
mod vm;

pub use accel::{Accel, AccelChoice, choose_accel};
pub use cmdline::{Monitor, kernel_command_line};
pub use config::{Performance, Spoil, VmConfig};
pub use deadline::{Deadlines, Phase};
pub use kvm::{AcpiTable, CpuVendor, acpi_tables, cpuid};
pub use tcg::{QEMU_PACKAGE, QEMU_PROGRAM, qemu_arguments, qemu_version};
pub use vm::{HostDelay, Vm, VmEnd, VmRun};

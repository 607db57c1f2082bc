//! Our own monitor over KVM: memory, CPUs, one serial port, the channel, and nothing else.

mod acpi;
mod bus;
mod channel;
mod cpuid;
mod ending;
mod huge;
mod ioapic;
mod layout;
mod loader;
mod machine;
mod memory;
mod probe;
mod pvh;
mod registers;
mod serial;
mod statistics;
mod vcpu;

pub use acpi::{AcpiTable, acpi_tables};
pub(crate) use bus::Sink;
pub use cpuid::{CpuVendor, cpuid};
pub(crate) use ending::Why;
pub(crate) use machine::Machine;
pub(crate) use probe::probe;
#[cfg(fuzzing)]
pub(crate) use {bus::Bus, ioapic::IoApic, layout::IO_APIC};

//! Memory of a machine.

/// MiB for each CPU.
pub const MIB_PER_CPU: u32 = 64;
/// MiB that every machine has.
pub const MIN_VM_MIB: u32 = 256;

/// max(cpus × 64, 256, what the test asks for), in MiB; the caller raises it to what kernel and initramfs need.
#[must_use]
pub fn vm_memory_mib(cpus: u32, entry_mib: u32) -> u32 {
    cpus.saturating_mul(MIB_PER_CPU).max(MIN_VM_MIB).max(entry_mib)
}

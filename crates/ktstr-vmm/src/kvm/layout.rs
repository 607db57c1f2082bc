//! Where things lie in the guest's physical memory, and on its I/O bus.
//!
//! The first megabyte follows Documentation/arch/x86/boot.rst and the PC's customs; everything else is RAM, but for the hole
//! below 4 GiB that the APICs need.

/// Global descriptor table of the first instructions.
pub(crate) const GDT: u64 = 0x500;
/// Start info of the PVH entry, its list of modules, and its memory map up to the zero page.
pub(crate) const PVH_START_INFO: u64 = 0x6000;
pub(crate) const PVH_MODULES: u64 = 0x6040;
pub(crate) const PVH_MEMORY_MAP: u64 = 0x6080;
/// `boot_params`, the "zero page".
pub(crate) const BOOT_PARAMS: u64 = 0x7000;
/// First of six pages of page tables: PML4, PDPT, four page directories.
pub(crate) const PAGE_TABLES: u64 = 0x9000;
/// Command line, at most [`CMDLINE_MAX`] bytes with its end.
pub(crate) const CMDLINE: u64 = 0x2_0000;
/// The kernel's own limit (`COMMAND_LINE_SIZE`, arch/x86/include/asm/setup.h).
pub(crate) const CMDLINE_MAX: usize = 2048;
/// End of the RAM below the hole that a PC keeps for video and firmware.
pub(crate) const LOW_RAM_END: u64 = 0x9_fc00;
/// ACPI tables, the RSDP first: within the area that is searched for it (ACPI 6.5, 5.2.5.1).
pub(crate) const ACPI: u64 = 0xe_0000;
/// Above the first megabyte.
pub(crate) const HIGH_RAM_START: u64 = 0x10_0000;
/// Where the hole for APICs and firmware begins.
pub(crate) const HOLE_START: u64 = 0xc000_0000;
/// Where it ends.
pub(crate) const HOLE_END: u64 = 0x1_0000_0000;
/// I/O APIC (its default place).
pub(crate) const IO_APIC: u32 = 0xfec0_0000;
/// Local APICs (their default place).
pub(crate) const LOCAL_APIC: u32 = 0xfee0_0000;
/// Three pages that KVM wants for real mode on Intel (Documentation/virt/kvm/api.rst, `KVM_SET_TSS_ADDR`).
pub(crate) const KVM_TSS: usize = 0xfffb_d000;
/// One page that KVM wants for its identity map on Intel (same, `KVM_SET_IDENTITY_MAP_ADDR`).
pub(crate) const KVM_IDENTITY_MAP: u64 = 0xfffb_c000;

/// First port of COM1.
pub(crate) const COM1: u16 = 0x3f8;
/// Interrupt of COM1.
pub(crate) const COM1_IRQ: u32 = 4;
/// Command port of the keyboard controller, which resets a PC.
pub(crate) const KEYBOARD_COMMAND: u16 = 0x64;
/// ACPI sleep control register (ACPI 6.5, 4.8.3.7).
pub(crate) const SLEEP_CONTROL: u16 = 0x600;
/// ACPI sleep status register, which must be there and has nothing to say.
pub(crate) const SLEEP_STATUS: u16 = 0x601;

//! What a kernel with a PVH entry is told (Xen's boot ABI, xen/include/public/arch-x86/hvm/start_info.h; the kernel's reader is
//! arch/x86/platform/pvh/enlighten.c).

use super::layout::{ACPI, CMDLINE, PVH_MEMORY_MAP, PVH_MODULES, PVH_START_INFO};
use super::loader::Span;
use super::memory::{Region, e820};
use anyhow::{Context as _, Result};
use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryMmap};

/// `XEN_HVM_START_MAGIC_VALUE`: "xEn3" with the top bit of the E set.
const MAGIC: u32 = 0x336e_c578;
/// The first version with a memory map.
const VERSION: u32 = 1;

/// Writes start info, the one module and the memory map.
pub(super) fn write(memory: &GuestMemoryMmap, regions: &[Region], initrd: Span) -> Result<()> {
    let map: Vec<_> = e820(regions)
        .iter()
        .map(|e| hvm_memmap_table_entry { addr: e.addr, size: e.size, type_: e.r#type, reserved: 0 })
        .collect();
    let info = hvm_start_info {
        magic: MAGIC,
        version: VERSION,
        nr_modules: 1,
        modlist_paddr: PVH_MODULES,
        cmdline_paddr: CMDLINE,
        rsdp_paddr: ACPI,
        memmap_paddr: PVH_MEMORY_MAP,
        memmap_entries: u32::try_from(map.len())?,
        ..hvm_start_info::default()
    };
    let module = hvm_modlist_entry { paddr: initrd.0, size: initrd.1, ..hvm_modlist_entry::default() };
    let what = "no memory for the start info";
    memory.write_obj(info, GuestAddress(PVH_START_INFO)).context(what)?;
    memory.write_obj(module, GuestAddress(PVH_MODULES)).context(what)?;
    for (at, entry) in (PVH_MEMORY_MAP..).step_by(size_of::<hvm_memmap_table_entry>()).zip(map) {
        memory.write_obj(entry, GuestAddress(at)).context(what)?;
    }
    Ok(())
}

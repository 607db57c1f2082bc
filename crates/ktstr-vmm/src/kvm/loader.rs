//! Kernel, initramfs, command line and zero page into guest memory (Documentation/arch/x86/boot.rst).

use super::layout::{ACPI, BOOT_PARAMS, CMDLINE, CMDLINE_MAX, HIGH_RAM_START, HOLE_START};
use super::memory::{Region, e820};
use super::pvh;
use crate::config::VmConfig;
use anyhow::{Context as _, Result, bail, ensure};
use linux_loader::loader::bootparam::{boot_params, setup_header};
use linux_loader::loader::elf::PvhBootCapability;
use linux_loader::loader::{BzImage, Elf, KernelLoader as _};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryMmap};

/// `boot_flag` and `header` of the zero page.
const BOOT_FLAG: u16 = 0xaa55;
const HEADER: u32 = 0x5372_6448;
/// A loader without a number of its own.
const UNKNOWN_LOADER: u8 = 0xff;
/// `xloadflags`: the kernel has a 64-bit entry, 0x200 bytes behind its 32-bit one.
const HAS_64_BIT_ENTRY: u16 = 1;
const ENTRY_64: u64 = 0x200;
const PAGE: u64 = 4096;
/// Alignment that a 64-bit kernel asks for (`CONFIG_PHYSICAL_ALIGN`).
const MIN_ALIGNMENT: u32 = 0x100_0000;

/// Where the first CPU starts, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// In 64-bit mode, with the zero page.
    Long(u64),
    /// In 32-bit mode, with PVH's start info: what a vmlinux with such a note promises to take.
    Pvh(u64),
}

/// Puts everything where the kernel looks for it.
pub(crate) fn load(memory: &GuestMemoryMmap, regions: &[Region], config: &VmConfig, cmdline: &str) -> Result<Entry> {
    let path = &config.kernel;
    let mut file = File::open(path).with_context(|| format!("failed to open the kernel {}", path.display()))?;
    let mut magic = [0; 4];
    file.read_exact(&mut magic).with_context(|| format!("{} is too short for a kernel", path.display()))?;
    file.seek(SeekFrom::Start(0))?;
    let what = || format!("failed to load the kernel {}", path.display());
    let (entry, end, header) = if magic == *b"\x7fELF" {
        let loaded = Elf::load(memory, None, &mut file, Some(GuestAddress(HIGH_RAM_START))).with_context(what)?;
        let entry = match loaded.pvh_boot_cap {
            PvhBootCapability::PvhEntryPresent(address) => Entry::Pvh(address.0),
            _ => Entry::Long(loaded.kernel_load.0),
        };
        (entry, loaded.kernel_end, default_header())
    } else {
        let loaded =
            BzImage::load(memory, Some(GuestAddress(HIGH_RAM_START)), &mut file, Some(GuestAddress(HIGH_RAM_START)))
                .with_context(what)?;
        let header = loaded.setup_header.with_context(|| format!("{} has no setup header", path.display()))?;
        ensure!(
            header.xloadflags & HAS_64_BIT_ENTRY != 0,
            "{} has no 64-bit entry: use a 64-bit kernel of version 3.8 or later",
            path.display()
        );
        (Entry::Long(HIGH_RAM_START + ENTRY_64), loaded.kernel_end.max(decompressed_end(&header)), header)
    };
    let initrd = load_initrd(memory, regions, config, end)?;
    ensure!(
        cmdline.len() < CMDLINE_MAX,
        "the kernel's command line has {} bytes, more than {CMDLINE_MAX}: `{cmdline}`",
        cmdline.len()
    );
    memory.write_slice(cmdline.as_bytes(), GuestAddress(CMDLINE)).context("no memory for the command line")?;
    match entry {
        Entry::Long(_) => write_zero_page(memory, regions, header, initrd, cmdline.len())?,
        Entry::Pvh(_) => pvh::write(memory, regions, initrd)?,
    }
    Ok(entry)
}

/// A bzImage needs room to unpack itself, at the address it prefers.
fn decompressed_end(header: &setup_header) -> u64 {
    header.pref_address.max(HIGH_RAM_START) + u64::from(header.init_size)
}

fn default_header() -> setup_header {
    setup_header { boot_flag: BOOT_FLAG, header: HEADER, kernel_alignment: MIN_ALIGNMENT, ..setup_header::default() }
}

/// Start and size.
pub(super) type Span = (u64, u64);

/// All archives, one behind the other, as high as they fit below the hole: far from where the kernel unpacks itself.
fn load_initrd(memory: &GuestMemoryMmap, regions: &[Region], config: &VmConfig, kernel_end: u64) -> Result<Span> {
    let mut files = Vec::new();
    for path in &config.initramfs {
        let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
        let size = file.metadata().with_context(|| format!("failed to inspect {}", path.display()))?.len();
        files.push((file, path, size));
    }
    let size = files.iter().map(|(_, _, size)| size).sum::<u64>();
    // The region that the kernel lies in goes on without a gap to the end of the memory below the hole.
    let top = regions.iter().filter(|r| r.end() <= HOLE_START).map(Region::end).max().unwrap_or(0);
    let start = top.saturating_sub(size) & !(PAGE - 1);
    if start <= kernel_end {
        bail!(
            "kernel and initramfs need {} MiB and the machine has {}: raise memory_mib",
            (kernel_end + size) >> 20,
            top >> 20
        );
    }
    let mut at = start;
    for (mut file, path, size) in files {
        memory
            .read_exact_volatile_from(GuestAddress(at), &mut file, usize::try_from(size)?)
            .with_context(|| format!("failed to read {}", path.display()))?;
        at += size;
    }
    Ok((start, size))
}

fn write_zero_page(
    memory: &GuestMemoryMmap,
    regions: &[Region],
    header: setup_header,
    initrd: Span,
    cmdline_len: usize,
) -> Result<()> {
    let mut params = boot_params { hdr: header, acpi_rsdp_addr: ACPI, ..boot_params::default() };
    params.hdr.type_of_loader = UNKNOWN_LOADER;
    params.hdr.cmd_line_ptr = u32::try_from(CMDLINE)?;
    params.hdr.cmdline_size = u32::try_from(cmdline_len)?;
    params.hdr.ramdisk_image = u32::try_from(initrd.0)?;
    params.hdr.ramdisk_size = u32::try_from(initrd.1)?;
    let map = e820(regions);
    ensure!(
        map.len() <= params.e820_table.len(),
        "the machine's memory is in {} pieces, more than the zero page holds",
        map.len()
    );
    params.e820_entries = u8::try_from(map.len())?;
    for (slot, entry) in params.e820_table.iter_mut().zip(map) {
        *slot = entry;
    }
    memory.write_obj(params, GuestAddress(BOOT_PARAMS)).context("no memory for the zero page")
}

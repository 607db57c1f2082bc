//! The state in which a CPU begins: 64-bit mode with the first 4 GiB mapped as they are (Documentation/arch/x86/boot.rst,
//! "64-bit boot protocol"), or 32-bit mode without paging (PVH).

use super::layout::{BOOT_PARAMS, GDT, LOCAL_APIC, PAGE_TABLES, PVH_START_INFO};
use super::loader::Entry;
use anyhow::{Context as _, Result};
use kvm_bindings::{KVMIO, Msrs, kvm_fpu, kvm_lapic_state, kvm_msr_entry, kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

const PAGE: u64 = 4096;
/// Present and writable; with bit 7, a large page (SDM volume 3, 5.5).
const TABLE: u64 = 3;
const LARGE_PAGE: u64 = 0x83;
/// Bits of CR0, CR4 and EFER (SDM volume 3, 2.5 and 2.2.1).
const CR0_PE: u64 = 1;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// Selectors that the boot protocol names.
const BOOT_CS: u16 = 0x10;
const BOOT_DS: u16 = 0x18;
const TSS: u16 = 0x20;
/// Code of 32 bits, for PVH.
const PVH_CS: u16 = 0x28;
/// Descriptors: 64-bit code, data, a task segment that nobody uses, 32-bit code.
const DESCRIPTORS: [u64; 6] =
    [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x008f_8b00_0000_ffff, 0x00cf_9b00_0000_ffff];
/// Bit 1 of RFLAGS is always set.
const RFLAGS: u64 = 2;
/// Initial values of the x87 control word and of MXCSR (SDM volume 1, 8.1.5 and 10.2.3).
const FPU_CONTROL: u16 = 0x37f;
const MXCSR: u32 = 0x1f80;
/// IA32_MTRR_DEF_TYPE: enabled, write-back everywhere (SDM volume 3, 13.11.2.1).
const MTRR_DEF_TYPE: u32 = 0x2ff;
const MTRR_WRITE_BACK: u64 = 1 << 11 | 6;
/// IA32_APIC_BASE: its address, first CPU, x2APIC mode, enabled (SDM volume 3, 12.4.4 and 12.12.1).
const APIC_BASE: u32 = 0x1b;
const APIC_FIRST_CPU: u64 = 1 << 8;
const APIC_X2: u64 = 1 << 10;
const APIC_ENABLED: u64 = 1 << 11;
/// Offsets of the local APIC's interrupt inputs, and their modes (SDM volume 3, 12.5.1).
const LVT_LINT0: usize = 0x350;
const LVT_LINT1: usize = 0x360;
const MODE_EXTINT: u32 = 7 << 8;
const MODE_NMI: u32 = 4 << 8;

/// What all CPUs share: descriptors and page tables.
pub(crate) fn write_tables(memory: &GuestMemoryMmap) -> Result<()> {
    let mut bytes = Vec::new();
    bytes.extend(DESCRIPTORS.iter().flat_map(|d| d.to_le_bytes()));
    memory.write_slice(&bytes, GuestAddress(GDT)).context("no memory for descriptors")?;
    let mut tables = vec![0u64; 6 * 512];
    let page = |number: u64| PAGE_TABLES + number * PAGE;
    tables[0] = page(1) | TABLE;
    for directory in 0..4usize {
        tables[512 + directory] = page(2 + directory as u64) | TABLE;
    }
    for (number, slot) in (0u64..).zip(&mut tables[2 * 512..]) {
        *slot = number << 21 | LARGE_PAGE;
    }
    let bytes: Vec<u8> = tables.iter().flat_map(|t| t.to_le_bytes()).collect();
    memory.write_slice(&bytes, GuestAddress(PAGE_TABLES)).context("no memory for page tables")
}

/// Makes the first CPU ready to run the kernel's first instruction; the others wait for it to wake them.
pub(crate) fn prepare_first(vcpu: &VcpuFd, entry: Entry) -> Result<()> {
    let regs = match entry {
        Entry::Long(rip) => kvm_regs { rip, rsi: BOOT_PARAMS, rflags: RFLAGS, ..kvm_regs::default() },
        Entry::Pvh(rip) => kvm_regs { rip, rbx: PVH_START_INFO, rflags: RFLAGS, ..kvm_regs::default() },
    };
    vcpu.set_regs(&regs).context("KVM_SET_REGS")?;
    let mut sregs = vcpu.get_sregs().context("KVM_GET_SREGS")?;
    let segment = |selector: u16| {
        let descriptor = DESCRIPTORS[usize::from(selector / 8)];
        let bits = |shift: u32, count: u32| u8::try_from(descriptor >> shift & ((1 << count) - 1)).unwrap_or(0);
        kvm_segment {
            base: 0,
            limit: u32::MAX,
            selector,
            type_: bits(40, 4),
            s: bits(44, 1),
            dpl: bits(45, 2),
            present: bits(47, 1),
            l: bits(53, 1),
            db: bits(54, 1),
            g: bits(55, 1),
            ..kvm_segment::default()
        }
    };
    sregs.cs = segment(if matches!(entry, Entry::Long(_)) { BOOT_CS } else { PVH_CS });
    for data in [&mut sregs.ds, &mut sregs.es, &mut sregs.fs, &mut sregs.gs, &mut sregs.ss] {
        *data = segment(BOOT_DS);
    }
    sregs.tr = segment(TSS);
    sregs.gdt.base = GDT;
    sregs.gdt.limit = u16::try_from(DESCRIPTORS.len() * 8 - 1)?;
    sregs.idt.limit = 0;
    sregs.cr0 |= CR0_PE;
    if let Entry::Long(_) = entry {
        sregs.cr3 = PAGE_TABLES;
        sregs.cr4 = CR4_PAE;
        sregs.cr0 |= CR0_PG;
        sregs.efer |= EFER_LME | EFER_LMA;
    }
    vcpu.set_sregs(&sregs).context("KVM_SET_SREGS")
}

/// In which mode a CPU's local APIC begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApicMode {
    /// Ids of eight bits, until the kernel changes it.
    XApic,
    /// Ids of 32 bits. Firmware hands a machine over like this when an id needs them (SDM volume 3, 12.12.8.1): a kernel that
    /// finds the other mode leaves those CPUs out.
    X2Apic,
}

ioctl_iow_nr!(KVM_X86_SETUP_MCE, KVMIO, 0x9c, u64);

/// One bank of machine checks, of which none will ever be raised, in place of the 32 that KVM offers: a kernel visits four
/// registers of each bank, one exit each, on every CPU. A KVM that refuses leaves the machine slower to boot, and no worse.
fn one_bank_of_machine_checks(vcpu: &VcpuFd) {
    const BANKS: u64 = 1;
    // SAFETY: the ioctl reads one u64 (Documentation/virt/kvm/api.rst, 4.105), which outlives the call.
    unsafe { ioctl_with_ref(vcpu, KVM_X86_SETUP_MCE(), &BANKS) };
}

/// What every CPU gets.
pub(crate) fn prepare_any(vcpu: &VcpuFd, first: bool, mode: ApicMode) -> Result<()> {
    one_bank_of_machine_checks(vcpu);
    vcpu.set_fpu(&kvm_fpu { fcw: FPU_CONTROL, mxcsr: MXCSR, ..kvm_fpu::default() }).context("KVM_SET_FPU")?;
    let entry = |index, data| kvm_msr_entry { index, data, ..kvm_msr_entry::default() };
    let mut entries = vec![entry(MTRR_DEF_TYPE, MTRR_WRITE_BACK)];
    if mode == ApicMode::X2Apic {
        let first = if first { APIC_FIRST_CPU } else { 0 };
        entries.push(entry(APIC_BASE, u64::from(LOCAL_APIC) | APIC_ENABLED | APIC_X2 | first));
    }
    let msrs = Msrs::from_entries(&entries).map_err(|e| anyhow::anyhow!("list of MSRs: {e:?}"))?;
    let set = vcpu.set_msrs(&msrs).context("KVM_SET_MSRS")?;
    anyhow::ensure!(set == entries.len(), "KVM_SET_MSRS took {set} of {} registers", entries.len());
    let mut apic = vcpu.get_lapic().context("KVM_GET_LAPIC")?;
    if first {
        set_lvt(&mut apic, LVT_LINT0, MODE_EXTINT);
    }
    set_lvt(&mut apic, LVT_LINT1, MODE_NMI);
    vcpu.set_lapic(&apic).context("KVM_SET_LAPIC")
}

fn set_lvt(apic: &mut kvm_lapic_state, offset: usize, mode: u32) {
    for (slot, byte) in apic.regs[offset..offset + 4].iter_mut().zip(mode.to_le_bytes()) {
        *slot = libc::c_char::from_ne_bytes([byte]);
    }
}

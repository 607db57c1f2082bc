//! Whether a guest can really run: a tiny one does what kernels do first.
//!
//! /dev/kvm that opens, and even a machine that can be created, prove nothing: there are hosts whose KVM emulates kernel code
//! instruction by instruction and dies on the first one it does not know.

use super::layout::HIGH_RAM_START;
use super::loader::Entry;
use super::registers::{ApicMode, prepare_any, prepare_first, write_tables};
use super::vcpu::{install_kick_handler, kick};
use anyhow::{Context as _, Result, bail, ensure};
use ktstr_kernel::cache::Cache;
use ktstr_wire::PORT;
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use serde::{Deserialize, Serialize};
use std::arch::global_asm;
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap};

/// Where the code of the probe runs.
const CODE: u64 = 0x1_0000;
/// What it says at its end.
const DONE: u8 = 0x6b;
/// How long a dozen instructions may take.
const LIMIT: Duration = Duration::from_secs(2);
/// Leaf 1, ECX: XSAVE and AVX. Leaf 7, EBX: BMI2.
const XSAVE: u32 = 1 << 26;
const AVX: u32 = 1 << 28;
const BMI2: u32 = 1 << 8;

/// What the probe found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// Why no guest can run; `None` when one did.
    pub refused: Option<String>,
    /// KVM sees when a guest changes XCR0. Where it does not, it enters the guest with another one than the guest has chosen,
    /// and tells it sizes of another state.
    pub sees_xcr0: bool,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    boot_id: String,
    found: Found,
}

/// Probes once for each boot of the host; the answer is kept in the cache.
pub(crate) fn probe() -> &'static Found {
    static FOUND: OnceLock<Found> = OnceLock::new();
    FOUND.get_or_init(|| {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let file = Cache::open().ok().map(|c| c.dir().join("kvm-probe.json"));
        let kept = file.as_ref().and_then(|f| serde_json::from_slice::<Kept>(&std::fs::read(f).ok()?).ok());
        if let Some(kept) = kept.filter(|k| k.boot_id == boot_id && !boot_id.is_empty()) {
            return kept.found;
        }
        let found = run_probe();
        // The next process probes again when this one cannot write its answer down.
        if let (Some(file), Ok(json)) = (file, serde_json::to_vec(&Kept { boot_id, found: found.clone() })) {
            let _ = file.parent().map(std::fs::create_dir_all);
            let _ = std::fs::write(file, json);
        }
        found
    })
}

fn run_probe() -> Found {
    match try_probe() {
        Ok(sees_xcr0) => Found { refused: None, sees_xcr0 },
        Err(e) => Found { refused: Some(format!("{e:#}")), sees_xcr0: false },
    }
}

fn try_probe() -> Result<bool> {
    let tiny = Tiny::build()?;
    run_to_the_end(tiny)
}

/// A machine that does what the probe asks for, and nothing else.
struct Tiny {
    fd: VcpuFd,
    /// The state that the guest turns on: 0 without XSAVE.
    xcr0: u64,
    // Dropped after the CPU: fields go in the order of their declaration.
    _vm: VmFd,
    _memory: GuestMemoryMmap,
}

impl Tiny {
    fn build() -> Result<Self> {
        install_kick_handler();
        let kvm = Kvm::new().context("/dev/kvm cannot be opened")?;
        let vm = kvm.create_vm().context("no machine can be created")?;
        vm.create_irq_chip().context("no interrupt controller can be created")?;
        let size = usize::try_from(HIGH_RAM_START)?;
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), size)]).context("no memory")?;
        let host = memory.get_host_address(GuestAddress(0)).context("memory without a mapping")?;
        let slot =
            kvm_userspace_memory_region { memory_size: size as u64, userspace_addr: host as u64, ..Default::default() };
        // SAFETY: the mapping is as long as the slot, and the machine and its CPU are dropped before it.
        unsafe { vm.set_user_memory_region(slot) }.context("memory cannot be given to the machine")?;
        write_tables(&memory)?;
        memory.write_slice(code(), GuestAddress(CODE)).context("no memory for the probe")?;
        let fd = vm.create_vcpu(0).context("no CPU can be created")?;
        let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).context("KVM_GET_SUPPORTED_CPUID")?;
        fd.set_cpuid2(&supported).context("KVM_SET_CPUID2")?;
        prepare_any(&fd, true, ApicMode::XApic)?;
        prepare_first(&fd, Entry::Long(CODE))?;
        let xcr0 = wanted_xcr0(&supported);
        let mut regs = fd.get_regs().context("KVM_GET_REGS")?;
        regs.r8 = u64::from(has(&supported, 7, |l| l.ebx & BMI2 != 0));
        regs.r9 = xcr0;
        fd.set_regs(&regs).context("KVM_SET_REGS")?;
        Ok(Self { fd, xcr0, _vm: vm, _memory: memory })
    }
}

fn has(leaves: &CpuId, function: u32, test: impl Fn(&kvm_bindings::kvm_cpuid_entry2) -> bool) -> bool {
    leaves.as_slice().iter().any(|l| l.function == function && l.index == 0 && test(l))
}

/// The state that the guest turns on: 0 without XSAVE.
fn wanted_xcr0(leaves: &CpuId) -> u64 {
    let has = |bit| has(leaves, 1, |l| l.ecx & bit != 0);
    match (has(XSAVE), has(AVX)) {
        (false, _) => 0,
        (true, false) => 3,
        (true, true) => 7,
    }
}

/// Runs the CPU in a thread of its own, for it may never come back by itself.
fn run_to_the_end(mut tiny: Tiny) -> Result<bool> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("kvm-probe".into()).spawn(move || {
        let result = step_to_the_end(&mut tiny.fd, tiny.xcr0);
        drop(tiny);
        let _ = sender.send(result);
    })?;
    let result = match receiver.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(RecvTimeoutError::Disconnected) => Err(anyhow::anyhow!("the probe's thread panicked")),
        Err(RecvTimeoutError::Timeout) => {
            Err(anyhow::anyhow!("a dozen instructions took more than {} s", LIMIT.as_secs()))
        }
    };
    kick(&thread);
    let _ = thread.join();
    result
}

fn step_to_the_end(fd: &mut VcpuFd, xcr0: u64) -> Result<bool> {
    match fd.run() {
        Ok(VcpuExit::IoOut(PORT, [DONE])) => {}
        Ok(VcpuExit::InternalError) => {
            bail!("it is a software KVM that cannot run kernel code (KVM_EXIT_INTERNAL_ERROR)")
        }
        Ok(other) => bail!("a probe of a dozen instructions ended in {other:?}"),
        Err(e) => bail!("KVM_RUN: {e}"),
    }
    let regs = fd.get_regs().context("KVM_GET_REGS")?;
    ensure!(regs.rbx == u64::from(DONE), "a probe's register was lost on the way: {:#x}", regs.rbx);
    if xcr0 == 0 {
        return Ok(true);
    }
    // Optional (KVM_CAP_XCRS); without it nothing can be wrong with it.
    let Ok(xcrs) = fd.get_xcrs() else {
        return Ok(true);
    };
    Ok(xcrs.xcrs[0].value == xcr0)
}

global_asm!(
    ".pushsection .rodata.ktstr_probe, \"a\", @progbits",
    "ktstr_probe_start:",
    "mov rsp, 0x8000",
    // Per-CPU operations of slab allocators.
    "xor eax, eax",
    "xor edx, edx",
    "mov ebx, 0x6b",
    "xor ecx, ecx",
    "lock cmpxchg16b [0x6000]",
    // What the decompressor is built with.
    "test r8, r8",
    "jz 2f",
    "mov eax, 0x6b",
    "mov ecx, 0xff",
    "pdep eax, eax, ecx",
    "2:",
    // The state of the floating-point unit: CR4.OSFXSR and CR4.OSXSAVE, then XSETBV and XSAVE.
    "test r9, r9",
    "jz 3f",
    "mov rax, cr4",
    "or eax, 0x40200",
    "mov cr4, rax",
    "mov rax, r9",
    "xor ecx, ecx",
    "xor edx, edx",
    "xsetbv",
    "mov rax, r9",
    "xsave [0x4000]",
    "3:",
    // The way back from an interrupt.
    "push 0x18",
    "push 0x8000",
    "pushfq",
    "push 0x10",
    "lea rax, [rip + 4f]",
    "push rax",
    "iretq",
    "4:",
    "mov eax, ebx",
    "mov dx, {port}",
    "out dx, al",
    "5:",
    "hlt",
    "jmp 5b",
    "ktstr_probe_end:",
    ".popsection",
    port = const PORT,
);

/// The instructions above; they do not depend on where they lie.
fn code() -> &'static [u8] {
    unsafe extern "C" {
        static ktstr_probe_start: u8;
        static ktstr_probe_end: u8;
    }
    // SAFETY: both labels stand in one read-only section, the end behind the start.
    unsafe {
        let start = &raw const ktstr_probe_start;
        let length = (&raw const ktstr_probe_end).offset_from_unsigned(start);
        std::slice::from_raw_parts(start, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::bus::{Bus, Sink};
    use crate::kvm::ending::{Ending, Why};
    use crate::kvm::vcpu::Vcpu;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use vmm_sys_util::eventfd::EventFd;

    #[test]
    fn a_probe_ends_with_an_answer_on_any_machine() {
        let found = run_probe();
        if let Some(why) = &found.refused {
            assert!(!why.is_empty() && !found.sees_xcr0);
        }
        eprintln!("{found:?}");
    }

    #[derive(Clone)]
    struct Said(std::sync::mpsc::Sender<Vec<u8>>);

    impl Sink for Said {
        fn channel(&self, bytes: &[u8]) {
            self.0.send(bytes.to_vec()).unwrap();
        }

        fn console(&self, _: &[u8]) {}

        fn ended(&self) {}
    }

    /// The monitor's own loop around the same guest: on a KVM that is none it must end by name, on a true one the guest
    /// halts for ever, and is stopped from outside.
    #[test]
    fn a_cpu_that_kvm_cannot_run_ends_as_an_internal_error_with_its_registers() {
        let Ok(Tiny { fd, _vm, _memory, .. }) = Tiny::build() else {
            eprintln!("not here: no machine can be created");
            return;
        };
        let (sender, said) = channel();
        let bus = Bus::new(Said(sender), _memory.clone(), EventFd::new(libc::EFD_NONBLOCK).unwrap(), Vec::new());
        let (ending, stop) = (Arc::new(Ending::default()), Arc::new(AtomicBool::new(false)));
        let vcpu = Vcpu::start(fd, 0, None, Arc::new(bus), Arc::clone(&ending), Arc::clone(&stop)).unwrap();
        let start = std::time::Instant::now();
        let spoke = loop {
            if ending.get().is_some() || start.elapsed() > LIMIT {
                break None;
            }
            if let Ok(bytes) = said.recv_timeout(Duration::from_millis(1)) {
                break Some(bytes);
            }
        };
        stop.store(true, std::sync::atomic::Ordering::Release);
        vcpu.join();
        match (run_probe().refused, spoke, ending.get()) {
            (None, Some(bytes), None) => assert_eq!(bytes, [DONE]),
            (Some(why), None, Some((Why::Broken(text), place))) if why.contains("INTERNAL_ERROR") => {
                assert!(text.starts_with("KVM_EXIT_INTERNAL_ERROR: suberror"), "{text}");
                assert!(place.starts_with("CPU 0: rip 0x100"), "{place}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_code_is_a_handful_of_instructions() {
        assert!((60..200).contains(&code().len()), "{}", code().len());
    }
}

//! One CPU: a thread that enters the guest until the machine ends.

use super::bus::{After, Bus, Sink};
use super::ending::{Ending, Why};
use kvm_ioctls::{VcpuExit, VcpuFd};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two kicks of a CPU that has not heard the first: it may have been on its way into the guest.
const KICK_AGAIN: Duration = Duration::from_millis(1);

/// A running CPU.
pub(crate) struct Vcpu {
    thread: JoinHandle<BTreeMap<&'static str, u64>>,
}

/// The signal that gets a thread out of the guest; its handler does nothing.
fn kick_signal() -> libc::c_int {
    libc::SIGRTMIN()
}

/// Must have been called before the first kick.
pub(crate) fn install_kick_handler() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler makes no calls at all; without SA_RESTART the ioctl ends with EINTR.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(kick_signal(), &raw const action, std::ptr::null_mut());
    }
}

impl Vcpu {
    /// Starts the thread. Its end, of whatever kind, is in `ending`.
    pub fn start<S: Sink + Clone + 'static>(
        mut fd: VcpuFd,
        number: u32,
        bus: Arc<Bus<S>>,
        ending: Arc<Ending>,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let thread = std::thread::Builder::new().name(format!("vcpu{number}")).spawn(move || {
            let mut exits = BTreeMap::new();
            let run = catch_unwind(AssertUnwindSafe(|| {
                while !stop.load(Acquire) {
                    if let Some(why) = enter(&mut fd, &bus, &mut exits) {
                        ending.set(number, why, &registers(&fd));
                        break;
                    }
                }
            }));
            if run.is_err() {
                ending.set(number, Why::Broken("its thread panicked".into()), "");
            }
            exits
        })?;
        Ok(Self { thread })
    }

    /// Waits for the end, which `stop` has asked for, and gives the exits by reason.
    pub fn join(self) -> BTreeMap<&'static str, u64> {
        kick(&self.thread);
        self.thread.join().unwrap_or_default()
    }
}

/// Gets a thread out of the guest, again and again until it has ended.
pub(crate) fn kick<T>(thread: &JoinHandle<T>) {
    use std::os::unix::thread::JoinHandleExt as _;
    while !thread.is_finished() {
        // SAFETY: the thread has not been joined, so its id is valid; the signal's handler does nothing.
        unsafe { libc::pthread_kill(thread.as_pthread_t(), kick_signal()) };
        std::thread::sleep(KICK_AGAIN);
    }
}

/// One stay in the guest; an answer ends the machine.
fn enter<S: Sink + Clone>(fd: &mut VcpuFd, bus: &Bus<S>, exits: &mut BTreeMap<&'static str, u64>) -> Option<Why> {
    let mut count = |reason: &'static str| *exits.entry(reason).or_default() += 1;
    match fd.run() {
        Ok(VcpuExit::IoOut(port, data)) => {
            count("io_out");
            return match bus.write(port, data) {
                After::GoOn => None,
                After::PowerOff => Some(Why::PowerOff),
                After::Reset => Some(Why::Reset),
            };
        }
        Ok(VcpuExit::IoIn(port, data)) => {
            count("io_in");
            bus.read(port, data);
        }
        Ok(VcpuExit::MmioRead(_, data)) => {
            count("mmio_read");
            // No device has memory: a bus without an answer.
            data.fill(0xff);
        }
        Ok(VcpuExit::MmioWrite(..)) => count("mmio_write"),
        // With the interrupt controller in the kernel a halt stays there; this is one that raced with a kick.
        Ok(VcpuExit::Hlt) => count("halt"),
        Ok(VcpuExit::Intr | VcpuExit::IrqWindowOpen) => count("interrupt"),
        Ok(VcpuExit::IoapicEoi(_)) => count("ioapic_eoi"),
        Ok(VcpuExit::Shutdown) => return Some(Why::Broken("KVM_EXIT_SHUTDOWN: a triple fault".into())),
        Ok(VcpuExit::FailEntry(reason, cpu)) => {
            return Some(Why::Broken(format!("KVM_EXIT_FAIL_ENTRY: reason {reason:#x} on host CPU {cpu}")));
        }
        Ok(VcpuExit::InternalError) => return Some(Why::Broken(internal_error(fd))),
        Ok(VcpuExit::SystemEvent(kind, _)) => return Some(Why::Broken(format!("KVM_EXIT_SYSTEM_EVENT {kind}"))),
        Ok(other) => return Some(Why::Broken(format!("an exit that this monitor does not know: {other:?}"))),
        Err(e) if matches!(e.errno(), libc::EINTR | libc::EAGAIN) => {}
        Err(e) => return Some(Why::Broken(format!("KVM_RUN: {e}"))),
    }
    None
}

/// Suberror and data of the exit (Documentation/virt/kvm/api.rst, `KVM_EXIT_INTERNAL_ERROR`).
fn internal_error(fd: &mut VcpuFd) -> String {
    // SAFETY: the exit reason is KVM_EXIT_INTERNAL_ERROR, for which this member of the union was written.
    let internal = unsafe { fd.get_kvm_run().__bindgen_anon_1.internal };
    let name = match internal.suberror {
        kvm_bindings::KVM_INTERNAL_ERROR_EMULATION => "emulation",
        kvm_bindings::KVM_INTERNAL_ERROR_SIMUL_EX => "simultaneous exceptions",
        kvm_bindings::KVM_INTERNAL_ERROR_DELIVERY_EV => "event delivery",
        kvm_bindings::KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON => "unexpected exit reason",
        _ => "unknown",
    };
    let count = usize::try_from(internal.ndata).unwrap_or(0).min(internal.data.len());
    format!("KVM_EXIT_INTERNAL_ERROR: suberror {} ({name}), data {:x?}", internal.suberror, &internal.data[..count])
}

/// The registers that say where the CPU was.
fn registers(fd: &VcpuFd) -> String {
    let (Ok(regs), Ok(sregs)) = (fd.get_regs(), fd.get_sregs()) else {
        return String::new();
    };
    format!(
        "rip {:#x} rsp {:#x} rflags {:#x} rax {:#x} rbx {:#x} rcx {:#x} rdx {:#x} rsi {:#x} rdi {:#x} cr0 {:#x} cr2 {:#x} cr3 {:#x} cr4 {:#x} efer {:#x}",
        regs.rip,
        regs.rsp,
        regs.rflags,
        regs.rax,
        regs.rbx,
        regs.rcx,
        regs.rdx,
        regs.rsi,
        regs.rdi,
        sregs.cr0,
        sregs.cr2,
        sregs.cr3,
        sregs.cr4,
        sregs.efer
    )
}

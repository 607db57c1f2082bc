//! One CPU: a thread that enters the guest until the machine ends.

use super::bus::{After, Bus, Sink};
use super::ending::{Ending, Why};
use crate::host::reserve::pin;
use kvm_ioctls::{VcpuExit, VcpuFd};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two kicks of a CPU that has not heard the first: it may have been on its way into the guest.
const KICK_AGAIN: Duration = Duration::from_millis(1);

/// Exits to this process by reason.
pub(crate) type Exits = BTreeMap<&'static str, u64>;

/// A running CPU.
pub(crate) struct Vcpu {
    thread: JoinHandle<Exits>,
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
    /// Starts the thread, on `host_cpu` alone if there is one. Its end, of whatever kind, is in `ending`.
    pub fn start<S: Sink + Clone + 'static>(
        mut fd: VcpuFd,
        number: u32,
        host_cpu: Option<u32>,
        bus: Arc<Bus<S>>,
        ending: Arc<Ending>,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let thread = std::thread::Builder::new().name(format!("vcpu{number}")).spawn(move || {
            let mut exits = Exits::new();
            let run = catch_unwind(AssertUnwindSafe(|| {
                if let Some(Err(e)) = host_cpu.map(pin) {
                    ending.set(number, Why::Broken(format!("its thread could not be bound to a host CPU: {e}")), "");
                    return;
                }
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
            bus.end();
            exits
        })?;
        Ok(Self { thread })
    }

    /// Waits for the end, which `stop` has asked for, and gives the exits by reason.
    pub fn join(self) -> Exits {
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
fn enter<S: Sink + Clone>(fd: &mut VcpuFd, bus: &Bus<S>, exits: &mut Exits) -> Option<Why> {
    match fd.run() {
        Ok(VcpuExit::InternalError) => Some(Why::Broken(internal_error(fd))),
        Ok(exit) => answer(exit, bus, exits),
        Err(e) if matches!(e.errno(), libc::EINTR | libc::EAGAIN) => None,
        Err(e) => Some(Why::Broken(format!("KVM_RUN: {e}"))),
    }
}

/// Does what the guest wants, and counts it.
fn answer<S: Sink + Clone>(exit: VcpuExit<'_>, bus: &Bus<S>, exits: &mut Exits) -> Option<Why> {
    let mut count = |reason: &'static str| *exits.entry(reason).or_default() += 1;
    match exit {
        VcpuExit::IoOut(port, data) => {
            count("io_out");
            match bus.write(port, data) {
                After::GoOn => {}
                After::PowerOff => return Some(Why::PowerOff),
                After::Reset => return Some(Why::Reset),
            }
        }
        VcpuExit::IoIn(port, data) => {
            count("io_in");
            bus.read(port, data);
        }
        VcpuExit::MmioRead(address, data) => {
            count("mmio_read");
            bus.read_memory(address, data);
        }
        VcpuExit::MmioWrite(address, data) => {
            count("mmio_write");
            if let Err(e) = bus.write_memory(address, data) {
                return Some(Why::Broken(format!("KVM_SET_GSI_ROUTING: {e}")));
            }
        }
        // With the interrupt controller in the kernel a halt stays there; this is one that raced with a kick.
        VcpuExit::Hlt => count("halt"),
        VcpuExit::Intr | VcpuExit::IrqWindowOpen => count("interrupt"),
        VcpuExit::IoapicEoi(_) => count("ioapic_eoi"),
        VcpuExit::Shutdown => return Some(Why::Broken("KVM_EXIT_SHUTDOWN: a triple fault".into())),
        VcpuExit::FailEntry(reason, cpu) => {
            return Some(Why::Broken(format!("KVM_EXIT_FAIL_ENTRY: reason {reason:#x} on host CPU {cpu}")));
        }
        VcpuExit::SystemEvent(kind, _) => return Some(Why::Broken(format!("KVM_EXIT_SYSTEM_EVENT {kind}"))),
        other => return Some(Why::Broken(format!("an exit that this monitor does not know: {other:?}"))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::ioapic::IoApic;
    use crate::kvm::layout::IO_APIC;
    use vm_memory::{GuestAddress, GuestMemoryMmap};
    use vmm_sys_util::eventfd::EventFd;

    #[derive(Clone)]
    struct Nowhere;

    impl Sink for Nowhere {
        fn channel(&self, _: &[u8]) {}
        fn console(&self, _: &[u8]) {}
        fn ended(&self) {}
    }

    #[test]
    fn a_route_that_kvm_refuses_ends_the_machine_by_name() {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        let refuses = IoApic::new(|_| Err(kvm_ioctls::Error::new(libc::EINVAL)));
        let bus = Bus::new(Nowhere, memory, EventFd::new(libc::EFD_NONBLOCK).unwrap(), Vec::new());
        let bus = bus.with_ioapic(Some(refuses));
        let write = |offset: u64, value: u32| {
            let data = value.to_le_bytes();
            answer(VcpuExit::MmioWrite(u64::from(IO_APIC) + offset, &data), &bus, &mut Exits::new())
        };
        assert_eq!(write(0, 0x18), None);
        match write(0x10, 0x30) {
            Some(Why::Broken(text)) => assert!(text.starts_with("KVM_SET_GSI_ROUTING: "), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    fn why(exit: VcpuExit<'_>) -> Option<Why> {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        let bus = Bus::new(Nowhere, memory, EventFd::new(libc::EFD_NONBLOCK).unwrap(), Vec::new());
        answer(exit, &bus, &mut Exits::new())
    }

    fn broken(exit: VcpuExit<'_>) -> String {
        match why(exit) {
            Some(Why::Broken(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_triple_fault_a_failed_entry_and_an_unknown_exit_are_named_and_never_a_power_off() {
        assert!(broken(VcpuExit::Shutdown).contains("KVM_EXIT_SHUTDOWN"));
        assert!(broken(VcpuExit::FailEntry(0x21, 3)).contains("KVM_EXIT_FAIL_ENTRY: reason 0x21 on host CPU 3"));
        assert!(broken(VcpuExit::SystemEvent(2, &[])).contains("KVM_EXIT_SYSTEM_EVENT 2"));
        assert!(broken(VcpuExit::Unknown).contains("does not know"));
        assert!(broken(VcpuExit::Unsupported(99)).contains("99"));
    }

    #[test]
    fn memory_that_is_not_there_reads_as_ones_and_takes_what_is_written() {
        let mut data = [0; 8];
        assert_eq!(why(VcpuExit::MmioRead(u64::MAX, &mut data)), None);
        assert_eq!(data, [0xff; 8]);
        assert_eq!(why(VcpuExit::MmioWrite(u64::MAX, &[1, 2, 3])), None);
    }
}

//! Fatal signals: said on the port with what a signal handler may use, then the kernel's panic ends the machine.

use crate::port;
use ktstr_wire::{Nonce, encode_panic_noalloc};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static NONCE: AtomicU64 = AtomicU64::new(0);
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

const FATAL: [(libc::c_int, &str); 5] = [
    (libc::SIGSEGV, "fatal signal SIGSEGV"),
    (libc::SIGBUS, "fatal signal SIGBUS"),
    (libc::SIGILL, "fatal signal SIGILL"),
    (libc::SIGFPE, "fatal signal SIGFPE"),
    (libc::SIGABRT, "fatal signal SIGABRT"),
];

/// Bytes of the stack that the handler runs on, for an overflow of the ordinary one.
const STACK: usize = 64 << 10;

/// Handles fatal signals from here on.
pub fn arm(nonce: Nonce) {
    NONCE.store(nonce.0, Relaxed);
    let stack = Box::leak(vec![0u8; STACK].into_boxed_slice());
    let alternate = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK };
    // SAFETY: the stack was leaked and is used for nothing else; the handler only makes async-signal-safe calls.
    unsafe {
        libc::sigaltstack(&raw const alternate, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
        for (signal, _) in FATAL {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Keeps the number of the next frame where a handler finds it.
pub fn next_sequence(sequence: u64) {
    SEQUENCE.store(sequence, Relaxed);
}

extern "C" fn on_signal(signal: libc::c_int) {
    // SAFETY: getpid is async-signal-safe. A forked worker inherits the handler and must not speak for PID 1.
    if unsafe { libc::getpid() } == 1 {
        let text = FATAL.iter().find(|(s, _)| *s == signal).map_or("fatal signal", |(_, t)| *t);
        let mut frame = [0u8; 512];
        let len = encode_panic_noalloc(&mut frame, NONCE.load(Relaxed), SEQUENCE.load(Relaxed), text);
        port::write(&frame[..len.min(frame.len())]);
    }
    // SAFETY: `_exit` is async-signal-safe; when PID 1 leaves, the kernel panics, and `panic=-1` resets the machine.
    unsafe { libc::_exit(128 + signal) }
}

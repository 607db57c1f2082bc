//! The channel's way out, from user space: no driver, no interrupt, and usable from a signal handler.

use anyhow::{Context as _, Result, ensure};
use ktstr_wire::{DOORBELL, PORT_READY, WINDOW, WINDOW_LEN};
use std::arch::asm;
use std::fs::OpenOptions;
use std::sync::atomic::{AtomicPtr, AtomicU16, Ordering::Relaxed};

/// Word of the command line that holds the data port's number.
const PORT_WORD: &str = "ktstr.port=";
/// Word of the command line that says that there is a window, too.
const WINDOW_WORD: &str = "ktstr.window";

/// The data port; 0 before [`open`].
static PORT: AtomicU16 = AtomicU16::new(0);
/// The window, where the machine has one.
static MAPPED: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

/// Takes the port named on the command line for this thread, and for every thread and process that it starts from now on
/// (ioperm(2), arch/x86/kernel/ioport.c); makes sure that the device is there.
pub fn open(cmdline: &str) -> Result<()> {
    let number = number_of(cmdline).context("the kernel's command line names no ktstr.port")?;
    allow(number, 1)?;
    let read = read(number);
    ensure!(read == PORT_READY, "no channel at port {number:#x}: it reads {read:#x}, not {PORT_READY:#x}");
    PORT.store(number, Relaxed);
    if cmdline.split_ascii_whitespace().any(|word| word == WINDOW_WORD) {
        allow(DOORBELL, 4)?;
        match map_window() {
            Ok(window) => MAPPED.store(window, Relaxed),
            // The port alone carries everything, slowly.
            Err(e) => eprintln!("ktstr: no window for the channel: {e:#}"),
        }
    }
    Ok(())
}

/// Sends all bytes; the monitor has taken them when this returns. Async-signal-safe.
pub fn write(bytes: &[u8]) {
    let window = MAPPED.load(Relaxed);
    if window.is_null() {
        return write_bytes(PORT.load(Relaxed), bytes);
    }
    for chunk in bytes.chunks(WINDOW_LEN) {
        // SAFETY: the window is WINDOW_LEN bytes of memory that nobody else in the guest uses.
        unsafe { std::ptr::copy_nonoverlapping(chunk.as_ptr(), window, chunk.len()) };
        let length = u32::try_from(chunk.len()).unwrap_or(0);
        // SAFETY: `open` took the port; the monitor only reads the window. Without `nomem` the copy comes before.
        unsafe { asm!("out dx, eax", in("dx") DOORBELL, in("eax") length, options(nostack, preserves_flags)) };
    }
}

fn allow(port: u16, count: libc::c_ulong) -> Result<()> {
    // SAFETY: ioperm takes three integers.
    let allowed = unsafe { libc::ioperm(libc::c_ulong::from(port), count, 1) };
    ensure!(
        allowed == 0,
        "the kernel forbids port {port:#x}: {}; is it locked down, or built without X86_IOPL_IOPERM?",
        std::io::Error::last_os_error()
    );
    Ok(())
}

fn map_window() -> Result<*mut u8> {
    let memory = OpenOptions::new().read(true).write(true).open("/dev/mem").context("failed to open /dev/mem")?;
    // SAFETY: a new mapping at a place of the kernel's choice; the firmware reserves this memory for it.
    let window = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            WINDOW_LEN,
            rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
            rustix::mm::MapFlags::SHARED,
            &memory,
            WINDOW,
        )
    };
    Ok(window.context("failed to map it from /dev/mem")?.cast())
}

fn read(port: u16) -> u8 {
    let byte: u8;
    // SAFETY: ioperm allowed this port; reading it has no effect on memory.
    unsafe { asm!("in al, dx", out("al") byte, in("dx") port, options(nomem, nostack, preserves_flags)) };
    byte
}

fn write_bytes(port: u16, bytes: &[u8]) {
    // SAFETY: ioperm allowed this port; `rep outsb` reads exactly `len` bytes from `ptr`, and the direction flag is clear by
    // the ABI (System V AMD64, 3.2.1).
    unsafe {
        asm!(
            "rep outsb",
            in("dx") port,
            inout("rsi") bytes.as_ptr() => _,
            inout("rcx") bytes.len() => _,
            options(readonly, nostack, preserves_flags)
        );
    }
}

fn number_of(cmdline: &str) -> Option<u16> {
    let word = cmdline.split_ascii_whitespace().find_map(|word| word.strip_prefix(PORT_WORD))?;
    u16::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_the_command_line() {
        assert_eq!(number_of("quiet ktstr.port=0x5b0 panic=-1"), Some(0x5b0));
        assert_eq!(number_of("quiet"), None);
        assert_eq!(number_of("ktstr.port=/dev/ttyS1"), None);
    }
}

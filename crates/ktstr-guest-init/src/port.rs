//! The channel, from user space: no driver, no interrupt, and usable from a signal handler.

use anyhow::{Context as _, Result, bail, ensure};
use ktstr_wire::{DOORBELL, INBOX, INBOX_LEN, MAX_PARCEL, PORT_READY, WINDOW, WINDOW_LEN};
use std::arch::asm;
use std::fs::OpenOptions;
use std::sync::atomic::{AtomicPtr, AtomicU16, Ordering::Relaxed};

/// Word of the command line that holds the data port's number.
const PORT_WORD: &str = "ktstr.port=";
/// Word of the command line that says that there are windows, too, one for each direction.
const WINDOW_WORD: &str = "ktstr.window";

/// The data port; 0 before [`open`].
static PORT: AtomicU16 = AtomicU16::new(0);
/// The window, where the machine has one.
static MAPPED: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// The inbox, where the machine has one.
static MAPPED_INBOX: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

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
        MAPPED_INBOX.store(map(INBOX, INBOX_LEN)?, Relaxed);
        MAPPED.store(map(WINDOW, WINDOW_LEN)?, Relaxed);
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

/// All that the host has to say now; `None` where the channel has no way in.
pub fn fetch() -> Result<Option<Vec<u8>>> {
    let inbox = MAPPED_INBOX.load(Relaxed);
    if inbox.is_null() {
        return Ok(None);
    }
    let next = |out: &mut Vec<u8>| {
        let length: u32;
        // SAFETY: `open` took the port; the monitor writes to the inbox only. Without `nomem` the copy comes after.
        unsafe { asm!("in eax, dx", in("dx") DOORBELL, out("eax") length, options(nostack, preserves_flags)) };
        if let Some(said) = usize::try_from(length).ok().filter(|said| *said <= INBOX_LEN) {
            // SAFETY: the inbox is INBOX_LEN bytes, and the monitor writes to it only while this CPU reads the doorbell.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(inbox, said) });
        }
        length
    };
    gather(next).map(Some)
}

/// Pieces until there are no more. `next` adds one to what it is given, and says how long the host meant it to be.
fn gather(mut next: impl FnMut(&mut Vec<u8>) -> u32) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let before = out.len();
        let length = next(&mut out);
        if usize::try_from(length).ok() != Some(out.len() - before) {
            bail!("the channel has no way in: its doorbell reads {length:#x}");
        }
        if length == 0 {
            return Ok(out);
        }
        ensure!(out.len() <= MAX_PARCEL, "the host says more than {MAX_PARCEL} bytes");
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

fn map(address: u64, length: usize) -> Result<*mut u8> {
    let memory = OpenOptions::new().read(true).write(true).open("/dev/mem");
    let memory = memory.context("the channel needs /dev/mem: is the kernel built without DEVMEM?")?;
    // SAFETY: a new mapping at a place of the kernel's choice; the firmware reserves this memory for it.
    let window = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
            rustix::mm::MapFlags::SHARED,
            &memory,
            address,
        )
    };
    Ok(window.with_context(|| format!("failed to map the channel's memory at {address:#x} from /dev/mem"))?.cast())
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
    fn pieces_are_gathered_until_there_are_none_and_nobody_s_answer_is_taken_for_one() {
        let said: Vec<u8> = (0..=250u8).cycle().take(2 * INBOX_LEN + 3).collect();
        let mut pieces = said.chunks(INBOX_LEN);
        let next = |out: &mut Vec<u8>| {
            let chunk = pieces.next().unwrap_or_default();
            out.extend_from_slice(chunk);
            u32::try_from(chunk.len()).unwrap()
        };
        assert_eq!(gather(next).unwrap(), said);
        assert!(gather(|_| 0).unwrap().is_empty());
        assert!(gather(|_| u32::MAX).unwrap_err().to_string().contains("no way in"));
        assert!(gather(|_| 0x1_0001).is_err());
        let endless = |out: &mut Vec<u8>| {
            out.resize(out.len() + INBOX_LEN, 0);
            0x1_0000
        };
        assert!(gather(endless).unwrap_err().to_string().contains("more than"), "a host without an end");
    }

    #[test]
    fn the_port_is_read_from_the_command_line() {
        assert_eq!(number_of("quiet ktstr.port=0x5b0 panic=-1"), Some(0x5b0));
        assert_eq!(number_of("quiet"), None);
        assert_eq!(number_of("ktstr.port=/dev/ttyS1"), None);
    }
}

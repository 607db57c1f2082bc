//! The channel's I/O port, written from user space: no driver, no interrupt, and usable from a signal handler.

use anyhow::{Context as _, Result, ensure};
use ktstr_wire::PORT_READY;
use std::arch::asm;

/// Word of the command line that holds the port's number.
const PORT_WORD: &str = "ktstr.port=";

/// A port this thread, and every thread and process it starts from now on, may use (ioperm(2), arch/x86/kernel/ioport.c).
#[derive(Clone, Copy, Debug)]
pub struct Port(u16);

impl Port {
    /// Takes the port named on the command line, and makes sure that the device is there.
    pub fn open(cmdline: &str) -> Result<Self> {
        let number = number_of(cmdline).context("the kernel's command line names no ktstr.port")?;
        // SAFETY: ioperm takes three integers.
        let allowed = unsafe { libc::ioperm(libc::c_ulong::from(number), 1, 1) };
        ensure!(
            allowed == 0,
            "the kernel forbids port {number:#x}: {}; is it locked down, or built without X86_IOPL_IOPERM?",
            std::io::Error::last_os_error()
        );
        let port = Self(number);
        let read = port.read();
        ensure!(read == PORT_READY, "no channel at port {number:#x}: it reads {read:#x}, not {PORT_READY:#x}");
        Ok(port)
    }

    /// The port of that number, for a signal handler; only what [`Port::open`] took may be written to.
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    pub const fn number(self) -> u16 {
        self.0
    }

    fn read(self) -> u8 {
        let byte: u8;
        // SAFETY: ioperm allowed this port; reading it has no effect on memory.
        unsafe { asm!("in al, dx", out("al") byte, in("dx") self.0, options(nomem, nostack, preserves_flags)) };
        byte
    }

    /// Sends all bytes; the monitor has taken them when this returns. Async-signal-safe.
    pub fn write(self, bytes: &[u8]) {
        // SAFETY: ioperm allowed this port; `rep outsb` reads exactly `len` bytes from `ptr`, and the direction flag is
        // clear by the ABI (System V AMD64, 3.2.1).
        unsafe {
            asm!(
                "rep outsb",
                in("dx") self.0,
                inout("rsi") bytes.as_ptr() => _,
                inout("rcx") bytes.len() => _,
                options(readonly, nostack, preserves_flags)
            );
        }
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

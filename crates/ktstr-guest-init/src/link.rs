//! The guest's end of the channel.

use anyhow::{Context as _, Result};
use ktstr_wire::{Encoder, Message, Nonce};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Word of the command line that names the device.
const PORT_WORD: &str = "ktstr.port=";

/// Sends frames; shared by the test and the threads beside it.
pub struct Link {
    inner: Mutex<Inner>,
}

struct Inner {
    port: File,
    encoder: Encoder,
    closed: bool,
}

/// The device named on the command line.
pub fn port_of(cmdline: &str) -> Option<&str> {
    cmdline.split_ascii_whitespace().find_map(|word| word.strip_prefix(PORT_WORD))
}

impl Link {
    /// Opens the device; a terminal is made raw, so that every byte passes as it is.
    pub fn open(cmdline: &str, nonce: Nonce) -> Result<Self> {
        let path = port_of(cmdline).context("the kernel's command line names no ktstr.port")?;
        let port = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("failed to open the channel {path}"))?;
        if let Ok(mut termios) = rustix::termios::tcgetattr(&port) {
            termios.make_raw();
            rustix::termios::tcsetattr(&port, rustix::termios::OptionalActions::Now, &termios)
                .with_context(|| format!("failed to make {path} raw"))?;
        }
        crate::crash::arm(port.as_raw_fd(), nonce);
        Ok(Self { inner: Mutex::new(Inner { port, encoder: Encoder::new(nonce), closed: false }) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one message; what cannot be sent is left to the host to miss.
    pub fn send(&self, message: &Message) {
        let mut inner = self.lock();
        if inner.closed {
            return;
        }
        match inner.encoder.encode(message) {
            Ok(frame) => inner.write(&frame),
            Err(e) => eprintln!("ktstr: {e}"),
        }
    }

    /// Sends the last frame and waits until all of it is out.
    pub fn bye(&self) {
        let mut inner = self.lock();
        let frame = inner.encoder.bye();
        inner.write(&frame);
        inner.closed = true;
        let _ = rustix::termios::tcdrain(&inner.port);
    }
}

impl Inner {
    fn write(&mut self, frame: &[u8]) {
        if let Err(e) = self.port.write_all(frame) {
            eprintln!("ktstr: failed to write to the channel: {e}");
        }
        crate::crash::next_sequence(self.encoder.next_sequence());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_the_command_line() {
        assert_eq!(port_of("quiet ktstr.port=/dev/ttyS1 panic=-1"), Some("/dev/ttyS1"));
        assert_eq!(port_of("quiet"), None);
    }
}

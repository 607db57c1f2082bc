//! As much of gdb's protocol as it takes to let a stopped machine go and to look at it (GDB manual, "Remote Protocol").

use super::common::wait_for;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

pub struct Debugger(UnixStream);

impl Debugger {
    /// Waits until QEMU listens there.
    pub fn attach(socket: &Path) -> Self {
        Self(wait_for(|| UnixStream::connect(socket).ok()))
    }

    /// Sends a packet that has no answer yet.
    pub fn send(&mut self, body: &str) {
        let sum = body.bytes().fold(0u8, u8::wrapping_add);
        write!(self.0, "${body}#{sum:02x}").unwrap();
    }

    /// What Ctrl-C sends.
    pub fn interrupt(&mut self) {
        self.0.write_all(&[3]).unwrap();
    }

    /// The next answer, between its dollar and its checksum.
    pub fn hear(&mut self) -> String {
        let mut seen = Vec::new();
        while seen.iter().position(|b| *b == b'#').is_none_or(|hash| seen.len() < hash + 3) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
        self.0.write_all(b"+").unwrap();
        let text = String::from_utf8_lossy(&seen).into_owned();
        text.split(['$', '#']).nth(1).unwrap().to_owned()
    }

    pub fn ask(&mut self, body: &str) -> String {
        self.send(body);
        self.hear()
    }

    /// Until the machine is gone.
    pub fn wait(mut self) {
        let _ = self.0.read_to_end(&mut Vec::new());
    }
}

//! As much of gdb's remote protocol as it takes to run a machine up to a breakpoint (GDB manual, appendix E).

use anyhow::{Context as _, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

/// Bytes of an answer, at most; QEMU's own limit is 4 KiB.
const MOST: usize = 1 << 16;
/// A breakpoint of one byte, which is how x86 counts them.
const KIND: u8 = 1;

/// A stream to a stub, of either kind.
trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A stub that waits.
pub struct Remote {
    stream: Box<dyn Stream>,
}

impl Remote {
    /// Connects to a port of this host or to a socket; `None` while nobody listens there.
    pub fn connect(place: &str) -> Option<Self> {
        let stream: Box<dyn Stream> = match place.parse::<u16>() {
            Ok(port) => Box::new(TcpStream::connect(("127.0.0.1", port)).ok()?),
            Err(_) => Box::new(UnixStream::connect(place).ok()?),
        };
        Some(Self { stream })
    }

    /// Sets a breakpoint, or takes it away.
    pub fn breakpoint(&mut self, address: u64, set: bool) -> Result<()> {
        let answer = self.ask(&format!("{}1,{address:x},{KIND}", if set { 'Z' } else { 'z' }))?;
        ensure!(answer == "OK", "QEMU's stub takes no breakpoint: `{answer}`");
        Ok(())
    }

    /// Lets the machine run until it stops.
    pub fn go_on(&mut self) -> Result<()> {
        let answer = self.ask("c")?;
        ensure!(answer.starts_with('T') || answer.starts_with('S'), "the machine did not stop: `{answer}`");
        Ok(())
    }

    /// Lets the machine run without a debugger.
    pub fn leave(mut self) {
        // Where the stub is gone, so is the machine.
        let _ = self.ask("D");
    }

    /// A command of QEMU's monitor; what it says.
    pub fn monitor(&mut self, command: &str) -> Result<String> {
        let hex: String = command.bytes().map(|b| format!("{b:02x}")).collect();
        let mut said = Vec::new();
        let mut answer = self.ask(&format!("qRcmd,{hex}"))?;
        while let Some(part) = answer.strip_prefix('O').filter(|_| answer != "OK") {
            for pair in part.as_bytes().chunks(2) {
                let byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
                said.push(byte.with_context(|| format!("QEMU's stub says `{answer}` to a command"))?);
            }
            answer = self.answer()?;
        }
        ensure!(answer == "OK" || answer.is_empty(), "QEMU's monitor refuses `{command}`: `{answer}`");
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    fn ask(&mut self, body: &str) -> Result<String> {
        self.stream.write_all(&packet(body)).context("QEMU's stub is gone")?;
        self.answer()
    }

    /// The next packet; receipts in front of it are passed over, and one is given.
    fn answer(&mut self) -> Result<String> {
        let mut seen = Vec::new();
        while self.byte()? != b'$' {}
        loop {
            match self.byte()? {
                b'#' => break,
                byte => seen.push(byte),
            }
            ensure!(seen.len() < MOST, "QEMU's stub does not come to an end");
        }
        let sum = [self.byte()?, self.byte()?];
        if sum != checksum(&seen) {
            bail!("an answer of QEMU's stub is damaged");
        }
        self.stream.write_all(b"+").context("QEMU's stub is gone")?;
        Ok(String::from_utf8_lossy(&seen).into_owned())
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).context("QEMU's stub is gone")?;
        let [byte] = byte;
        Ok(byte)
    }
}

fn packet(body: &str) -> Vec<u8> {
    let [high, low] = checksum(body.as_bytes());
    [b"$", body.as_bytes(), b"#", &[high, low]].concat()
}

fn checksum(body: &[u8]) -> [u8; 2] {
    let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    [digit(sum >> 4), digit(sum & 15)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(script: &'static [u8], act: impl FnOnce(&mut Remote)) -> Vec<u8> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(script).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let mut remote = Remote { stream: Box::new(ours) };
        act(&mut remote);
        drop(remote);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).unwrap();
        heard
    }

    #[test]
    fn a_command_s_words_come_in_pieces_and_are_put_together() {
        let heard = with(b"+$O706f#52$O7274#23$OK#9a", |remote| assert_eq!(remote.monitor("i").unwrap(), "port"));
        assert_eq!(String::from_utf8_lossy(&heard), "$qRcmd,69#92+++");
    }

    #[test]
    fn a_damaged_answer_a_refusal_and_an_end_are_errors() {
        with(b"+$OK#00", |remote| assert!(remote.breakpoint(7, true).unwrap_err().to_string().contains("damaged")));
        with(b"+$E22#a9", |remote| assert!(remote.breakpoint(7, true).unwrap_err().to_string().contains("E22")));
        with(b"+$W00#b7", |remote| assert!(remote.go_on().is_err()));
        with(b"+", |remote| assert!(remote.go_on().unwrap_err().to_string().contains("is gone")));
    }
}

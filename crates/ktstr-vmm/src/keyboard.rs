//! What is typed goes to the machine's serial port, but for the way out.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::{Read as _, Write};

/// Ctrl-A, as in QEMU's own terminal.
const ESCAPE: u8 = 1;

/// Hands stdin to the machine until either ends; `leave` ends the machine when the person wants to go.
pub fn forward(mut to: impl Write + Send + 'static, leave: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        let mut keys = Keys::default();
        let mut typed = [0; 4096];
        let mut stdin = std::io::stdin().lock();
        while let Ok(count) = stdin.read(&mut typed) {
            let (pass, left) = keys.take(&typed[..count]);
            if left || count == 0 {
                leave();
                return;
            }
            if to.write_all(&pass).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    });
}

/// Kills a monitor that is a process.
///
/// # Errors
/// The monitor has ended already.
pub fn killer(monitor: u32) -> Result<impl FnOnce() + Send + 'static> {
    let pid = i32::try_from(monitor).ok().and_then(Pid::from_raw).context("the monitor has no process")?;
    // A descriptor: the number may be another process's by the time a key is pressed.
    let monitor = pidfd_open(pid, PidfdFlags::empty()).context("the monitor has ended")?;
    Ok(move || {
        let _ = pidfd_send_signal(&monitor, Signal::KILL);
    })
}

/// Finds Ctrl-A x in what is typed; Ctrl-A twice is Ctrl-A.
#[derive(Default)]
struct Keys {
    escaped: bool,
}

impl Keys {
    fn take(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut pass = Vec::with_capacity(typed.len());
        for &key in typed {
            match (self.escaped, key) {
                (true, b'x' | b'X') => return (pass, true),
                (true, ESCAPE) => pass.push(ESCAPE),
                (true, other) => pass.extend([ESCAPE, other]),
                (false, ESCAPE) => {
                    self.escaped = true;
                    continue;
                }
                (false, other) => pass.push(other),
            }
            self.escaped = false;
        }
        (pass, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_holds_no_escape_passes_in_any_pieces(text in prop::collection::vec(2u8.., 0..40), cut in 0usize..40) {
            let (head, tail) = text.split_at(cut.min(text.len()));
            let mut keys = Keys::default();
            let (mut pass, leave) = keys.take(head);
            prop_assert!(!leave);
            pass.extend(keys.take(tail).0);
            prop_assert_eq!(pass, text);
        }
    }

    #[test]
    fn ctrl_a_x_leaves_and_ctrl_a_ctrl_a_is_ctrl_a() {
        let mut keys = Keys::default();
        assert_eq!(keys.take(b"a\x01"), (b"a".to_vec(), false));
        assert_eq!(keys.take(b"\x01\x01c"), (b"\x01\x01c".to_vec(), false));
        assert_eq!(keys.take(b"b\x01xc"), (b"b".to_vec(), true));
    }

    #[test]
    fn ctrl_c_is_the_guest_s() {
        assert_eq!(Keys::default().take(b"\x03"), (vec![3], false));
    }
}

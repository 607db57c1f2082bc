//! What a program writes, read as it comes, so that it is never held up, and kept up to a limit.

use std::io::Read;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of standard output that are kept: the first ones.
const STDOUT: usize = 4 << 20;
/// Bytes of standard error that are kept: the last ones.
const STDERR: usize = 16 << 10;
/// How long the rest of what an ended program wrote may take; a process it has left behind may hold the pipe for ever.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// A pipe and the thread that reads it.
#[derive(Debug)]
pub struct Capture {
    kept: Arc<Mutex<Kept>>,
    ended: Receiver<()>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    cut: bool,
}

/// Which end of a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    First(usize),
    Last(usize),
}

impl Capture {
    /// Keeps the beginning.
    pub fn of_stdout(pipe: impl Read + Send + 'static) -> Self {
        Self::new(pipe, Keep::First(STDOUT))
    }

    /// Keeps the end.
    pub fn of_stderr(pipe: impl Read + Send + 'static) -> Self {
        Self::new(pipe, Keep::Last(STDERR))
    }

    fn new(mut pipe: impl Read + Send + 'static, keep: Keep) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (tell, ended) = channel();
        let theirs = Arc::clone(&kept);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => theirs.lock().unwrap_or_else(PoisonError::into_inner).add(&buffer[..n], keep),
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            // Nobody listens when the program was given up.
            let _ = tell.send(());
        });
        Self { kept, ended }
    }

    /// What was kept of an ended program's stream, and whether something was left out.
    pub fn finish(self) -> (Vec<u8>, bool) {
        let _ = self.ended.recv_timeout(REST_WITHIN);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut kept.bytes), kept.cut)
    }
}

impl Kept {
    fn add(&mut self, new: &[u8], keep: Keep) {
        match keep {
            Keep::First(limit) => {
                let room = limit.saturating_sub(self.bytes.len()).min(new.len());
                self.bytes.extend_from_slice(&new[..room]);
                self.cut |= room < new.len();
            }
            Keep::Last(limit) => {
                self.bytes.extend_from_slice(new);
                let surplus = self.bytes.len().saturating_sub(limit);
                self.bytes.drain(..surplus);
                self.cut |= surplus > 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_or_the_last_bytes_are_kept(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10), limit in 1usize..100) {
            let all = pieces.concat();
            let run = |keep| {
                let mut kept = Kept::default();
                for piece in &pieces {
                    kept.add(piece, keep);
                }
                (kept.bytes, kept.cut)
            };
            let n = limit.min(all.len());
            prop_assert_eq!(run(Keep::First(limit)), (all[..n].to_vec(), all.len() > limit));
            prop_assert_eq!(run(Keep::Last(limit)), (all[all.len() - n..].to_vec(), all.len() > limit));
        }
    }
}

//! A thread that sees when a program ends, whatever the test does meanwhile, and ends it when its time is up.

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How a program's time ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How long it ran.
    pub after: Duration,
    /// It was killed, for its time was up.
    pub timed_out: bool,
}

/// The thread's word, once.
#[derive(Debug)]
pub struct Watch {
    word: Receiver<Ended>,
}

impl Watch {
    /// Watches a child that leads its process group and is not reaped before it has been heard of here: until then its
    /// number is nobody else's.
    pub fn start(child: Pid, began: Instant, timeout: Duration) -> Result<Self> {
        let pidfd = pidfd_open(child, PidfdFlags::empty()).context("no descriptor of its process")?;
        let (tell, word) = channel();
        std::thread::spawn(move || {
            let in_time = wait(&pidfd, Some(timeout.saturating_sub(began.elapsed())));
            if in_time == Ok(false) {
                let _ = kill_process_group(child, Signal::KILL);
                let _ = wait(&pidfd, None);
            }
            if let Ok(in_time) = in_time {
                // Nobody listens when the program was given up.
                let _ = tell.send(Ended { after: began.elapsed(), timed_out: !in_time });
            }
        });
        Ok(Self { word })
    }

    /// Whether it ends within this time.
    pub fn ended_within(&self, limit: Duration) -> Result<Option<Ended>> {
        match self.word.recv_timeout(limit) {
            Ok(ended) => Ok(Some(ended)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("its process could not be waited for"),
        }
    }
}

/// Whether the process ends within `limit`; `None` waits for ever.
fn wait(pidfd: &OwnedFd, limit: Option<Duration>) -> rustix::io::Result<bool> {
    let start = Instant::now();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed())).map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}

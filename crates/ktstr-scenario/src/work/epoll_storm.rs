//! One rings the eventfds of all others in bursts, who wait in epoll.

use super::{GroupSize, Links, Work, burn, within};
use crate::worker::{Fault, LOOK_AFTER, Worker};
use anyhow::{Context as _, Result};
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::path::Path;

/// Parameters of [`WorkType::EpollStorm`](super::WorkType::EpollStorm).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpollStorm {
    /// Rings for each of the others in a burst, 1 to 1000; who is not quick hears several as one.
    pub burst: u32,
    /// Rounds of arithmetic between two bursts, 0 to 10,000,000; some ns each.
    pub rounds: u64,
}

impl EpollStorm {
    /// Four rings, and some ten µs between bursts.
    pub const DEFAULT: Self = Self { burst: 4, rounds: 10_000 };
}

impl Work for EpollStorm {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(2)
    }

    fn check(&self) -> Result<()> {
        within("burst", self.burst, 1..=1000)?;
        within("rounds", self.rounds, 0..=10_000_000)
    }

    /// For each worker an eventfd and the epoll that it waits in.
    fn links(&self, workers: usize, _group: Option<&Path>) -> Result<Links> {
        let mut files = Vec::with_capacity(2 * workers);
        for index in 0..workers {
            let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).context("no eventfd")?;
            let wait = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&wait, &bell, data, epoll::EventFlags::IN).context("failed to put an eventfd into an epoll")?;
            files.extend([bell, wait]);
        }
        Ok(Links::of_files(files))
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            if worker.index() == 0 {
                burn(self.rounds);
                self.ring_all(worker)?;
                worker.progress(1);
            } else if hear(worker)? {
                worker.event(1);
                worker.progress(1);
            }
        }
        Ok(())
    }
}

impl EpollStorm {
    fn ring_all(self, worker: &Worker<'_>) -> Result<(), Fault> {
        for _ in 0..self.burst {
            for index in 1..worker.count() {
                worker.baton(index).mark(worker.now_ns());
                let rung = rustix::io::write(worker.file(2 * index)?, &1u64.to_ne_bytes());
                rung.map_err(|e| Fault::new("write to the eventfd of worker", index as i64, e))?;
                worker.event(1);
            }
        }
        Ok(())
    }
}

/// Waits for the own bell; whether it was rung.
fn hear(worker: &Worker<'_>) -> Result<bool, Fault> {
    let (bell, wait) = (worker.file(2 * worker.index())?, worker.file(2 * worker.index() + 1)?);
    let own = worker.baton(worker.index());
    let mut count = [0u8; 8];
    // Rung while it worked: it did not sleep for this one.
    let mut slept = false;
    while let Err(e) = rustix::io::read(bell, &mut count) {
        if e != Errno::AGAIN {
            return Err(Fault::new("read of an eventfd", 0, e));
        }
        let mut events = [MaybeUninit::uninit(); 1];
        match epoll::wait(wait, &mut events, Some(&LOOK_AFTER)) {
            Ok(_) | Err(Errno::INTR) => slept = true,
            Err(e) => return Err(Fault::new("epoll_wait on", 0, e)),
        }
        if !worker.running() {
            return Ok(false);
        }
    }
    if let Some(at) = own.take_mark().filter(|_| slept) {
        worker.woke(at);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn every_bell_is_heard() {
        let seen = run(&WorkType::epoll_storm(), 4, |seen| seen[1..].iter().all(|w| w.events > 10 && w.wakes > 3));
        let heard: u64 = seen[1..].iter().map(|w| w.events).sum();
        // The last burst may be rung and not counted yet.
        assert!(heard <= seen[0].events + 12, "{seen:?}");
    }
}

//! Phases one after the other, again and again.

use super::{Links, TIMES, Work, burn, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::Duration;

/// Bytes that are written at once.
const BLOCK: usize = 4096;
/// Rounds of arithmetic between two yields, and between two writes.
const ROUNDS: u64 = 500;
/// Blocks of the file.
const BLOCKS: u64 = 64;

/// One part of a [`WorkType::Sequence`](super::WorkType::Sequence), 1 µs to 1 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Computes.
    Spin(Duration),
    /// Sleeps.
    Sleep(Duration),
    /// Yields after each small piece of work; events are yields.
    Yield(Duration),
    /// Writes blocks of a temporary file and reads them back; events are blocks.
    Io(Duration),
}

/// Phases in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// At least one, and not only sleep.
    pub phases: Vec<Phase>,
}

impl super::WorkType {
    /// Phases one after the other, again and again: `WorkType::sequence([Phase::Spin(ms(5)), Phase::Sleep(ms(1))])`.
    #[must_use]
    pub fn sequence(phases: impl IntoIterator<Item = Phase>) -> Self {
        Self::Sequence(Sequence { phases: phases.into_iter().collect() })
    }
}

impl Work for Sequence {
    fn check(&self) -> Result<()> {
        let works = self.phases.iter().any(|phase| !matches!(phase, Phase::Sleep(_)));
        ensure!(works, "a sequence needs a phase that works: Spin, Yield or Io");
        self.phases.iter().try_for_each(|phase| match *phase {
            Phase::Spin(time) | Phase::Sleep(time) | Phase::Yield(time) | Phase::Io(time) => within("a phase of", time, TIMES),
        })
    }

    fn links(&self, workers: usize, _group: Option<&Path>) -> Result<Links> {
        match self.phases.iter().any(|phase| matches!(phase, Phase::Io(_))) {
            true => Links::scratch(workers, 0),
            false => Ok(Links::default()),
        }
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            for phase in &self.phases {
                match *phase {
                    Phase::Spin(time) => worker.spin(nanos(time)),
                    Phase::Sleep(time) => worker.sleep(nanos(time)),
                    Phase::Yield(time) => yields(worker, nanos(time)),
                    Phase::Io(time) => io(worker, nanos(time))?,
                }
            }
        }
        Ok(())
    }
}

fn yields(worker: &Worker<'_>, ns: u64) {
    let until = worker.now_ns().saturating_add(ns);
    while worker.running() && worker.now_ns() < until {
        burn(ROUNDS);
        rustix::thread::sched_yield();
        worker.event(1);
        worker.progress(1);
    }
}

fn io(worker: &Worker<'_>, ns: u64) -> Result<(), Fault> {
    let file = worker.file(worker.index())?;
    let until = worker.now_ns().saturating_add(ns);
    let mut block = [0u8; BLOCK];
    let mut number = 0;
    while worker.running() && worker.now_ns() < until {
        let at = number % BLOCKS * BLOCK as u64;
        rustix::io::pwrite(file, &block, at).map_err(|e| Fault::new("pwrite at", at.cast_signed(), e))?;
        rustix::io::pread(file, &mut block, at).map_err(|e| Fault::new("pread at", at.cast_signed(), e))?;
        burn(ROUNDS);
        number += 1;
        worker.event(1);
        worker.progress(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::{refused, run};

    #[test]
    fn phases_come_in_turn() {
        let (ms, us) = (Duration::from_millis, Duration::from_micros);
        let phases = [Phase::Spin(ms(1)), Phase::Sleep(us(500)), Phase::Yield(ms(1)), Phase::Io(ms(1))];
        let seen = run(&WorkType::sequence(phases), 2, |seen| seen.iter().all(|w| w.wakes >= 4));
        for worker in &seen {
            // Between two wake-ups there is a whole turn, which yields and writes.
            assert!(worker.events >= 2 * (worker.wakes - 1) && worker.iterations > worker.events, "{worker:?}");
        }
    }

    #[test]
    fn a_sequence_that_does_nothing_is_refused() {
        for phases in [vec![], vec![Phase::Sleep(Duration::from_secs(1))]] {
            assert!(refused(&WorkType::sequence(phases), 1).contains("Sequence: a sequence needs a phase that works"));
        }
        assert!(refused(&WorkType::sequence([Phase::Io(Duration::ZERO)]), 1).contains("a phase of 0ns is not from"));
    }
}

//! What workers do: one file for each type.

mod bursty;
mod futex_ping_pong;
mod links;
mod pipe_io;
mod spin_wait;
mod yield_heavy;

use crate::worker::{Checkpoint, Shared};
use anyhow::{Result, ensure};
pub(crate) use links::Links;
use std::time::Duration;

/// A kind of load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkType {
    /// Computes without pause.
    SpinWait,
    /// Computes for a while, then sleeps for a while.
    Bursty {
        /// Time computing.
        work: Duration,
        /// Time sleeping.
        idle: Duration,
    },
    /// Pairs that wake each other through a futex; wants an even number of workers.
    FutexPingPong,
    /// Pairs that pass a byte through pipes; wants an even number of workers.
    PipeIo,
    /// Gives the CPU away after each small piece of work.
    YieldHeavy,
}

impl WorkType {
    /// [`Bursty`](Self::Bursty) in milliseconds.
    #[must_use]
    pub const fn bursty_ms(work: u64, idle: u64) -> Self {
        Self::Bursty { work: Duration::from_millis(work), idle: Duration::from_millis(idle) }
    }

    /// Whether this many workers can do it.
    ///
    /// # Errors
    /// No workers, or an odd number for pairs.
    pub(crate) fn check_count(&self, workers: u32) -> Result<()> {
        ensure!(workers > 0, "{self:?} needs at least one worker");
        let pairs = matches!(self, Self::FutexPingPong | Self::PipeIo);
        ensure!(!pairs || workers.is_multiple_of(2), "{self:?} works in pairs: {workers} workers is odd, use one more");
        Ok(())
    }

    /// What must exist before the workers are forked.
    pub(crate) fn links(&self, workers: usize) -> Result<Links> {
        if *self == Self::PipeIo { Links::pipes(workers) } else { Ok(Links::none()) }
    }

    /// Works until the checkpoint says stop. Runs in a forked process: no allocation, no lock.
    pub(crate) fn run(&self, index: usize, checkpoint: &Checkpoint<'_>, shared: &Shared, links: &Links) {
        match *self {
            Self::SpinWait => spin_wait::run(checkpoint),
            Self::Bursty { work, idle } => bursty::run(checkpoint, work, idle),
            Self::FutexPingPong => futex_ping_pong::run(checkpoint, shared, index),
            Self::PipeIo => pipe_io::run(checkpoint, links, index),
            Self::YieldHeavy => yield_heavy::run(checkpoint),
        }
    }
}

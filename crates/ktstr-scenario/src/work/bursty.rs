//! Computes for a while, sleeps for a while: each wake-up has a time it was due.

use super::spin_wait::{ROUNDS, burn};
use crate::worker::{Checkpoint, now_ns};
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::Timespec;
use std::time::Duration;

pub fn run(checkpoint: &Checkpoint<'_>, work: Duration, idle: Duration) {
    let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX / 4);
    let (work, idle) = (nanos(work), nanos(idle));
    while checkpoint.running() {
        let until = now_ns().saturating_add(work);
        while checkpoint.running() && now_ns() < until {
            burn(ROUNDS);
            checkpoint.progress(ROUNDS);
        }
        let due = now_ns().saturating_add(idle);
        let at = Timespec {
            tv_sec: i64::try_from(due / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(due % 1_000_000_000).unwrap_or(0),
        };
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
        checkpoint.woke(due);
    }
}

//! Goes through nice values, up and again from the lowest.

use super::{TIMES, Work, nanos, within};
use crate::worker::{Fault, Worker};
use anyhow::{Result, ensure};
use std::time::Duration;

/// Parameters of [`WorkType::NiceSweep`](super::WorkType::NiceSweep).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NiceSweep {
    /// Lowest value, -20 to 19.
    pub low: i32,
    /// Highest, `low` to 19.
    pub high: i32,
    /// Time computing at each, 1 µs to 1 h.
    pub hold: Duration,
}

impl NiceSweep {
    /// All of them, 1 ms each.
    pub const DEFAULT: Self = Self { low: -20, high: 19, hold: Duration::from_millis(1) };
}

impl Work for NiceSweep {
    fn check(&self) -> Result<()> {
        within("low", self.low, -20..=19)?;
        within("high", self.high, -20..=19)?;
        within("hold", self.hold, TIMES)?;
        ensure!(self.low < self.high, "low {} is not below high {}: nothing would change", self.low, self.high);
        Ok(())
    }

    /// The way back down needs the privilege: better to hear of it before the start.
    fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        worker.set_nice(self.high)?;
        worker.set_nice(self.low)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        while worker.running() {
            for nice in self.low..=self.high {
                worker.set_nice(nice)?;
                worker.event(1);
                worker.spin(nanos(self.hold));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::{refused, until};
    use crate::worker::Manner;
    use std::collections::BTreeSet;

    #[test]
    fn many_values_are_seen() {
        if !rustix::process::geteuid().is_root() {
            assert!(refused(&WorkType::nice_sweep(), 1).contains("setpriority to nice -20 failed"));
            return;
        }
        let work = WorkType::NiceSweep(NiceSweep { low: 3, high: 5, ..NiceSweep::DEFAULT });
        let mut values = BTreeSet::new();
        until(&work, 1, &Manner::default(), |seen, crew| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", crew.pids()[0])).unwrap();
            values.insert(stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(16).unwrap().to_owned());
            seen[0].events > 6 && values.len() == 3
        });
        assert_eq!(values.into_iter().collect::<String>(), "345");
    }

    #[test]
    fn a_sweep_over_nothing_is_refused() {
        let work = WorkType::NiceSweep(NiceSweep { low: 3, high: 3, ..NiceSweep::DEFAULT });
        assert!(refused(&work, 1).contains("low 3 is not below high 3"));
    }
}

//! One work of one or more workers.

use super::bearing::{Bearing, bearing_setters};
use crate::work::WorkType;
use anyhow::{Context as _, Result, ensure};
use ktstr_topology::Topology;

/// Workers past a share of the CPUs that are tried when the work wants even numbers or the like.
const ROUND_UP_BY: u32 = 64;

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Count {
    /// So many.
    Exactly(u32),
    /// Percent of the machine's CPUs.
    Percent(f64),
}

/// A work and its workers: `WorkSpec::new(WorkType::SpinWait).workers(2).nice(5)`. What it leaves open is the cgroup's.
#[derive(Clone, Debug)]
#[must_use]
pub struct WorkSpec {
    pub(crate) work: WorkType,
    pub(crate) count: Count,
    pub(crate) bearing: Bearing,
}

impl WorkSpec {
    /// One worker.
    pub fn new(work: WorkType) -> Self {
        Self { work, count: Count::Exactly(1), bearing: Bearing::default() }
    }

    /// How many workers.
    pub fn workers(mut self, count: u32) -> Self {
        self.count = Count::Exactly(count);
        self
    }

    /// Workers for this share of the machine's CPUs, in percent, rounded up to a number that the work can take.
    pub fn workers_pct(mut self, percent: f64) -> Self {
        self.count = Count::Percent(percent);
        self
    }

    bearing_setters!();

    /// Workers on this machine, as a number the work can take.
    pub(crate) fn count_on(&self, topology: &Topology) -> Result<u32> {
        let wanted = match self.count {
            Count::Exactly(count) => count,
            Count::Percent(percent) => {
                ensure!(percent > 0.0 && percent <= 10_000.0, "workers_pct {percent} is not above 0 and at most 10000");
                let online = (0..topology.total_cpus()).filter(|cpu| topology.is_online(*cpu)).count();
                #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let count = (online as f64 * percent / 100.0).ceil() as u32;
                (count..count + ROUND_UP_BY).find(|n| self.work.check_count(*n).is_ok()).unwrap_or(count)
            }
        };
        self.work.check_count(wanted).with_context(|| format!("workers {wanted}"))?;
        Ok(wanted)
    }
}

//! All checks on what the workers of one cgroup did.

use super::findings::Findings;
use super::limits::Assert;
use super::{fairness, isolation, latency, locality, progress, rates, stats};
use crate::worker::Seen;
use ktstr_verdict::AssertResult;
use std::time::Duration;

/// One cgroup's workers as they are judged.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// Its workers, by index.
    pub seen: &'a [Seen],
    /// CPUs they were allowed on; all when empty.
    pub cpus: &'a [u32],
    /// How long they ran, s.
    pub secs: f64,
}

impl Group<'_> {
    /// The worker and the CPUs it was seen on, for messages.
    pub fn worker(&self, index: usize) -> String {
        match self.seen.get(index).map(|w| w.cpus.as_slice()) {
            Some([]) | None => format!("worker {index}, never seen on a CPU,"),
            Some([cpu]) => format!("worker {index} on CPU {cpu}"),
            Some(cpus) => format!("worker {index} on CPUs {cpus:?}"),
        }
    }
}

/// Judges the workers of one cgroup, which were allowed on `cpus` (all when empty) and ran for `ran`.
pub(crate) fn check_group(name: &str, seen: &[Seen], cpus: &[u32], ran: Duration, assert: &Assert) -> AssertResult {
    let group = Group { seen, cpus, secs: ran.as_secs_f64() };
    let mut findings = Findings::of(format!("cgroup `{name}`: "));
    let checks: [fn(&Group<'_>, &Assert, &mut Findings); 6] =
        [progress::check, isolation::check, fairness::check, rates::check, latency::check, locality::check];
    for check in checks {
        check(&group, assert, &mut findings);
    }
    let mut result = findings.into_result();
    result.cgroups.push(stats::of(name, &group));
    result
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

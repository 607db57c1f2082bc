//! How long a test will take: by rule of thumb, or from what this machine took before.

use crate::seconds::Secs;

/// Seconds for booting and shutting down a machine.
const MACHINE_S: f64 = 10.0;
/// CPUs that boot within that time; each ten more cost a second.
const FREE_CPUS: u32 = 16;
/// Seconds around the workload itself: set-up and evaluation.
const AROUND_S: f64 = 2.0;
/// Seconds for reserving host CPUs in performance mode.
const PERF_S: f64 = 3.0;

/// Estimated seconds of a test of `duration_s` on `cpus` CPUs, before anything was measured.
#[must_use]
pub fn estimate_duration(cpus: u32, duration_s: u64, host_only: bool, perf: bool) -> f64 {
    if host_only {
        return workload(duration_s) + AROUND_S;
    }
    let more_cpus = f64::from(cpus.saturating_sub(FREE_CPUS) / 10);
    MACHINE_S + more_cpus + workload(duration_s) + AROUND_S + reservation(perf)
}

/// What the phases around a workload took on this machine, for machines of one shape: used in place of the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredPhases {
    /// From the start until the test function runs: boot, hello, scheduler attached.
    pub before: Secs,
    /// From its end until the machine is off.
    pub after: Secs,
}

impl MeasuredPhases {
    /// Estimated seconds of a test of `duration_s` on such a machine.
    #[must_use]
    pub fn estimate(self, duration_s: u64, perf: bool) -> f64 {
        self.before.get() + workload(duration_s) + self.after.get() + reservation(perf)
    }
}

#[allow(clippy::cast_precision_loss)] // Exact up to 2^53 seconds.
fn workload(duration_s: u64) -> f64 {
    duration_s as f64
}

fn reservation(perf: bool) -> f64 {
    if perf { PERF_S } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_more_cpus_than_sixteen_cost_a_second_and_nine_cost_nothing() {
        assert_eq!(estimate_duration(16, 5, false, false), 17.0);
        assert_eq!(estimate_duration(25, 5, false, false), 17.0);
        assert_eq!(estimate_duration(26, 5, false, false), 18.0);
    }

    proptest! {
        #[test]
        fn a_host_only_test_costs_its_duration_and_two_seconds(cpus: u32, secs in 0u32.., perf: bool) {
            prop_assert_eq!(estimate_duration(cpus, secs.into(), true, perf), f64::from(secs) + 2.0);
        }

        #[test]
        fn every_estimate_is_a_number_of_seconds(cpus: u32, secs: u64, host_only: bool, perf: bool) {
            prop_assert!(Secs::new(estimate_duration(cpus, secs, host_only, perf)).is_ok());
        }

        #[test]
        fn a_machine_measured_at_the_constants_gets_the_same_estimate(cpus in 0u32..16, secs in 0u32.., perf: bool) {
            let measured = MeasuredPhases { before: Secs::new(MACHINE_S).unwrap(), after: Secs::new(AROUND_S).unwrap() };
            prop_assert_eq!(measured.estimate(secs.into(), perf), estimate_duration(cpus, secs.into(), false, perf));
        }
    }
}

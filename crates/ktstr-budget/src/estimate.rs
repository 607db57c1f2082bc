//! How long a test will take, before anything was measured.

/// Seconds for booting and shutting down a machine.
const MACHINE_S: f64 = 10.0;
/// CPUs that boot within that time; each ten more cost a second.
const FREE_CPUS: u32 = 16;
/// Seconds around the workload itself: set-up and evaluation.
const AROUND_S: f64 = 2.0;
/// Seconds for reserving host CPUs in performance mode.
const PERF_S: f64 = 3.0;

/// Estimated seconds of a test of `duration_s` on `cpus` CPUs.
#[must_use]
pub fn estimate_duration(cpus: u32, duration_s: u64, host_only: bool, perf: bool) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let duration = duration_s as f64;
    if host_only {
        return duration + AROUND_S;
    }
    let more_cpus = f64::from(cpus.saturating_sub(FREE_CPUS) / 10);
    MACHINE_S + more_cpus + duration + AROUND_S + if perf { PERF_S } else { 0.0 }
}

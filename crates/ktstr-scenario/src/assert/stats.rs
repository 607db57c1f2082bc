//! A cgroup's line of the record.

use super::fairness::{spread_pct, throughput_cv};
use super::findings::{float, ratio};
use super::group::Group;
use super::latency::wake_cv;
use super::locality::page_locality;
use crate::worker::{Seen, quantile_ns};
use ktstr_verdict::CgroupStats;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn of(name: &str, group: &Group<'_>) -> CgroupStats {
    let seen = group.seen;
    let cpus: BTreeSet<u32> = seen.iter().flat_map(|w| w.cpus.iter().copied()).collect();
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).fold(0, u64::saturating_add);
    let mut counts: Vec<u64> = seen.iter().map(|w| w.iterations).collect();
    counts.sort_unstable();
    let (iterations, run_ns) = (sum(|w| w.iterations), sum(|w| w.run_ns));
    CgroupStats {
        name: name.to_owned(),
        workers: u32::try_from(seen.len()).unwrap_or(u32::MAX),
        iterations,
        max_gap_ms: float(seen.iter().map(|w| w.gap_ns).max().unwrap_or(0)) / 1e6,
        spread_pct: spread_pct(group).unwrap_or(0.0),
        migrations: sum(|w| w.migrations),
        p99_wake_us: quantile_ns(seen, 0.99).map_or(0.0, |ns| float(ns) / 1e3),
        wakes: sum(|w| w.wakes),
        cpus: cpus.into_iter().collect(),
        epochs: Vec::new(),
        median_iterations: counts.get(counts.len() / 2).copied().unwrap_or(0),
        throughput_cv: throughput_cv(group).unwrap_or(0.0),
        iteration_rate: ratio(float(iterations), group.secs).unwrap_or(0.0),
        work_rate: ratio(float(iterations) * 1e9, float(run_ns)).unwrap_or(0.0),
        run_ms: float(run_ns) / 1e6,
        run_delay_ms: float(sum(|w| w.run_delay_ns)) / 1e6,
        p50_wake_us: quantile_ns(seen, 0.5).map_or(0.0, |ns| float(ns) / 1e3),
        wake_cv: wake_cv(seen).unwrap_or(0.0),
        cross_node_migrations: sum(|w| w.cross_node_migrations),
        residence_ms: residence_ms(seen),
        page_locality: page_locality(seen).unwrap_or(0.0),
    }
}

/// Time of all workers on each CPU.
fn residence_ms(seen: &[Seen]) -> BTreeMap<u32, f64> {
    let mut times = BTreeMap::new();
    for (cpu, ns) in seen.iter().flat_map(|w| &w.residence_ns) {
        *times.entry(*cpu).or_default() += float(*ns) / 1e6;
    }
    times
}

//! The attributes of `#[ktstr_test]`: one table that drives parsing, messages and expansion.

use crate::shape::Shape;

/// Where the value of an attribute goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A field of `KtstrTestEntry`.
    Field,
    /// An `Option` field of `KtstrTestEntry`.
    OptionalField,
    /// A field of `Assert`.
    Assert,
    /// Machinery that this version lacks: the name is noted and the test fails loudly when run.
    Deferred,
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The attribute, and the field it fills.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// Where its value goes.
    pub place: Place,
}

const fn known(name: &'static str, shape: Shape, place: Place) -> Known {
    Known { name, shape, place }
}

use Place::{Assert, Deferred, Field, OptionalField};
use Shape::{Bool, Exprs, Float, Function, Path, Pattern, Refs, Text, TextOrTexts, Texts, U32, U64};

/// Every attribute, in the order messages list them.
pub const ATTRIBUTES: &[Known] = &[
    known("scheduler", Path, Field),
    known("payload", Path, OptionalField),
    known("workloads", Refs, Field),
    known("staged_schedulers", Refs, Field),
    known("extra_sched_args", Texts, Field),
    known("config", Text, OptionalField),
    known("numa_nodes", U32, OptionalField),
    known("llcs", U32, OptionalField),
    known("cores", U32, OptionalField),
    known("threads", U32, OptionalField),
    known("memory_mib", U32, OptionalField),
    known("min_llcs", U32, OptionalField),
    known("max_llcs", U32, OptionalField),
    known("min_cpus", U32, OptionalField),
    known("max_cpus", U32, OptionalField),
    known("min_numa_nodes", U32, OptionalField),
    known("max_numa_nodes", U32, OptionalField),
    known("requires_smt", Bool, Field),
    known("duration_s", U64, Field),
    known("watchdog_timeout_s", U64, Field),
    known("cleanup_budget_ms", U64, OptionalField),
    known("not_stuck", Bool, Assert),
    known("isolation", Bool, Assert),
    known("max_gap_ms", U64, Assert),
    known("max_spread_pct", Float, Assert),
    known("max_throughput_cv", Float, Assert),
    known("min_work_rate", Float, Assert),
    known("min_iteration_rate", Float, Assert),
    known("max_migration_ratio", Float, Assert),
    known("max_p99_wake_latency_ns", U64, Assert),
    known("max_wake_latency_cv", Float, Assert),
    known("min_page_locality", Float, Assert),
    known("max_cross_node_migration_ratio", Float, Assert),
    known("max_imbalance_ratio", Float, Assert),
    known("max_local_dsq_depth", U64, Assert),
    known("fail_on_rq_clock_stuck", Bool, Assert),
    known("sustained_samples", U64, Assert),
    known("max_fallback_rate", Float, Assert),
    known("max_keep_last_rate", Float, Assert),
    known("allow_kernel_log", Texts, Field),
    known("expect_err", Bool, Field),
    known("expect_scx_bpf_error_contains", Text, OptionalField),
    known("expect_scx_bpf_error_matches", Pattern, OptionalField),
    known("allow_inconclusive", Bool, Field),
    known("survives_storm", Bool, Field),
    known("auto_repro", Bool, Field),
    known("expect_auto_repro", Bool, Field),
    known("performance_mode", Bool, Field),
    known("no_perf_mode", Bool, Field),
    known("cpu_budget", U32, OptionalField),
    known("host_only", Bool, Field),
    known("num_snapshots", U32, Deferred),
    known("watch_bpf_maps", Texts, Deferred),
    known("bpf_map_write", Bool, Field),
    known("post_vm", Function, OptionalField),
    known("post_vm_unconditional", Function, OptionalField),
    known("perf_delta_assertions", Exprs, Field),
    known("extra_include_files", Texts, Field),
    known("wprof", Bool, Field),
    known("wprof_args", TextOrTexts, Deferred),
    known("workload_root_cgroup", Text, OptionalField),
];

/// Checks that may stand without a value, and the constant of `Assert` that is meant then.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("max_spread_pct", "DEFAULT_MAX_SPREAD_PCT"),
    ("max_imbalance_ratio", "DEFAULT_MAX_IMBALANCE_RATIO"),
    ("max_local_dsq_depth", "DEFAULT_MAX_LOCAL_DSQ_DEPTH"),
];

/// The names of [`ATTRIBUTES`].
pub fn names() -> Vec<&'static str> {
    ATTRIBUTES.iter().map(|a| a.name).collect()
}

/// The attribute of that name.
pub fn find(name: &str) -> Option<&'static Known> {
    ATTRIBUTES.iter().find(|a| a.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_attribute_is_known_once() {
        let distinct: HashSet<_> = names().into_iter().collect();
        assert_eq!(distinct.len(), ATTRIBUTES.len());
    }

    #[test]
    fn a_known_name_is_found_and_another_is_not() {
        assert_eq!(find("duration_s").map(|a| a.shape), Some(U64));
        assert!(find("duration").is_none());
    }
}

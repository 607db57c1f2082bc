//! All limits a test can set; each layer may leave any of them open.

use serde::{Deserialize, Serialize};

macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// Limits of one layer: library defaults, then the scheduler's, then the test's; the last that is set wins.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Assert {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        impl Assert {
            /// Nothing set.
            pub const NONE: Self = Self { $($field: None,)* };

            /// `over` where it is set, `self` elsewhere.
            #[must_use]
            pub const fn merge(self, over: Self) -> Self {
                Self { $($field: if over.$field.is_some() { over.$field } else { self.$field },)* }
            }
        }
    };
}

limits! {
    /// No worker stands still for longer than the gap.
    not_stuck: bool,
    /// Workers run on their cpuset only.
    isolation: bool,
    /// Longest time without progress, ms; sets the gap of `not_stuck` as well.
    max_gap_ms: u64,
    /// Largest difference between workers of a cgroup, percent of their mean.
    max_spread_pct: f64,
    /// Largest coefficient of variation of worker throughput.
    max_throughput_cv: f64,
    /// Least work of each worker, iterations a second of CPU time.
    min_work_rate: f64,
    /// Least iterations a second of each worker.
    min_iteration_rate: f64,
    /// Most migrations for each iteration.
    max_migration_ratio: f64,
    /// Limit of the 99th percentile of wake-up latency, ns.
    max_p99_wake_latency_ns: u64,
    /// Largest coefficient of variation of wake-up latency.
    max_wake_latency_cv: f64,
    /// Least share of pages on the worker's own node.
    min_page_locality: f64,
    /// Most migrations across nodes for each migration.
    max_cross_node_migration_ratio: f64,
    /// Largest ratio between the run queues of two CPUs.
    max_imbalance_ratio: f64,
    /// Longest local dispatch queue.
    max_local_dsq_depth: u64,
    /// A run queue's clock that stands still fails the test.
    fail_on_rq_clock_stuck: bool,
    /// Samples in a row before a monitor's limit counts.
    sustained_samples: u64,
    /// Most fall-back selections a second.
    max_fallback_rate: f64,
    /// Most keep-last decisions a second.
    max_keep_last_rate: f64,
}

/// Gap of `not_stuck` in ms: release and debug builds.
const GAP_MS: (u64, u64) = (2000, 3000);

impl Assert {
    /// What holds when nobody says otherwise: nothing stands still, and nothing leaves its cpuset.
    #[must_use]
    pub const fn library_defaults() -> Self {
        Self { not_stuck: Some(true), isolation: Some(true), ..Self::NONE }
    }

    /// The longest time without progress that is still progress, ms.
    #[must_use]
    pub fn gap_ms(&self) -> u64 {
        self.max_gap_ms.unwrap_or(if cfg!(debug_assertions) { GAP_MS.1 } else { GAP_MS.0 })
    }

    /// Names of the limits in force that this version cannot check.
    #[must_use]
    pub fn unsupported(&self) -> Vec<&'static str> {
        [
            ("max_throughput_cv", self.max_throughput_cv.is_some()),
            ("min_work_rate", self.min_work_rate.is_some()),
            ("max_wake_latency_cv", self.max_wake_latency_cv.is_some()),
            ("min_page_locality", self.min_page_locality.is_some()),
            ("max_cross_node_migration_ratio", self.max_cross_node_migration_ratio.is_some()),
            ("max_imbalance_ratio", self.max_imbalance_ratio.is_some()),
            ("max_local_dsq_depth", self.max_local_dsq_depth.is_some()),
            ("fail_on_rq_clock_stuck", self.fail_on_rq_clock_stuck == Some(true)),
            ("sustained_samples", self.sustained_samples.is_some()),
            ("max_fallback_rate", self.max_fallback_rate.is_some()),
            ("max_keep_last_rate", self.max_keep_last_rate.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_layer_that_says_something_wins() {
        let test = Assert { isolation: Some(false), max_gap_ms: Some(7), ..Assert::NONE };
        let merged = Assert::library_defaults().merge(test);
        assert_eq!((merged.not_stuck, merged.isolation, merged.gap_ms()), (Some(true), Some(false), 7));
        assert_eq!(merged.merge(Assert::NONE), merged);
    }
}

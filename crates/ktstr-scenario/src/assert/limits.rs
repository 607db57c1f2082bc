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
    /// Most tasks on one CPU's run queue for each on another's, an empty one counting as one task.
    max_imbalance_ratio: f64,
    /// Most tasks waiting in one CPU's local dispatch queue.
    max_local_dsq_depth: u64,
    /// The clock of a run queue whose CPU is not idle must not stand still.
    fail_on_rq_clock_stuck: bool,
    /// Samples in a row, 100 ms apart, before a limit on queues, clocks or events counts.
    sustained_samples: u64,
    /// Most fall-back selections a second on the whole machine (`SCX_EV_SELECT_CPU_FALLBACK`).
    max_fallback_rate: f64,
    /// Most keep-last decisions a second on the whole machine (`SCX_EV_DISPATCH_KEEP_LAST`).
    max_keep_last_rate: f64,
}

/// Gap of `not_stuck` in ms: release and debug builds.
const GAP_MS: (u64, u64) = (2000, 3000);
/// Half a second at a sample each 100 ms: shorter than that, queues and clocks may be as they like.
const SUSTAINED_SAMPLES: u64 = 5;

/// What an attribute without a value means.
impl Assert {
    /// Of `max_spread_pct`; a debug build's workers spend their time elsewhere as well.
    pub const DEFAULT_MAX_SPREAD_PCT: f64 = if cfg!(debug_assertions) { 35.0 } else { 15.0 };
    /// Of `max_imbalance_ratio`.
    pub const DEFAULT_MAX_IMBALANCE_RATIO: f64 = 4.0;
    /// Of `max_local_dsq_depth`.
    pub const DEFAULT_MAX_LOCAL_DSQ_DEPTH: u64 = 50;
}

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

    /// Samples in a row before a monitor's limit counts.
    #[must_use]
    pub fn sustained(&self) -> usize {
        usize::try_from(self.sustained_samples.unwrap_or(SUSTAINED_SAMPLES)).unwrap_or(usize::MAX).max(1)
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

//! One look at the kernel.

use super::parse::{CpuTime, RunQueue};
use std::collections::BTreeMap;

/// What a source said, or why it said nothing.
pub(super) type Read<T> = Result<T, String>;

/// Everything that was looked at, one time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// When, since the start.
    pub at_ns: u64,
    /// Tasks that run or could, without the sampler.
    pub runnable: Read<u64>,
    /// What each CPU did since boot.
    pub cpus: Read<Vec<CpuTime>>,
    /// Counters of the attached scheduler.
    pub events: Read<BTreeMap<String, i64>>,
    /// Which attachment the counters belong to.
    pub enable_seq: Option<u64>,
    /// Run queues without the sampler's own task, where a check asks for them.
    pub queues: Option<Read<Vec<RunQueue>>>,
    /// Local dispatch queues, where a check asks for them.
    pub local_dsqs: Option<Read<Vec<(u32, u64)>>>,
}

#[cfg(test)]
impl Sample {
    /// Nothing could be read.
    pub fn blind(at_ns: u64) -> Self {
        let blind = || "not there".to_owned();
        Self {
            at_ns,
            runnable: Err(blind()),
            cpus: Err(blind()),
            events: Err(blind()),
            enable_seq: None,
            queues: None,
            local_dsqs: None,
        }
    }
}

//! What was sampled of the kernel while workloads ran.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One run of the sampler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorSummary {
    /// Samples taken.
    pub samples: u32,
    /// From the first to the last, ms.
    pub span_ms: u64,
    /// Longest time between two of them, ms.
    pub longest_interval_ms: u64,
    /// Interfaces that were asked for and could not be read, with the reason.
    pub missing: Vec<String>,
    /// What was measured, by name.
    pub figures: BTreeMap<String, MonitorFigure>,
    /// Samples that the test asked for by name.
    pub snapshots: Vec<MonitorSnapshot>,
}

/// One figure over all samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorFigure {
    /// Samples that had it.
    pub count: u32,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// That of the last sample.
    pub last: f64,
    /// When the largest was seen, ms since the start.
    pub max_at_ms: u64,
    /// On which CPU the largest was seen, where it belongs to one.
    pub max_cpu: Option<u32>,
}

/// One sample with a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitorSnapshot {
    /// The name the test gave it.
    pub name: String,
    /// When, ms since the start.
    pub at_ms: u64,
    /// What was measured, by name.
    pub figures: BTreeMap<String, f64>,
    /// `root/events` as they stood.
    pub events: BTreeMap<String, i64>,
    /// Tasks on the run queue of each CPU, where they were read.
    pub queues: BTreeMap<u32, u64>,
}

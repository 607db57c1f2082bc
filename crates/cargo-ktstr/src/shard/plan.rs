//! The plan: what each shard runs, and so what a whole result must hold.

use super::split::Part;
use crate::names::TestId;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the plan's file.
pub const FILE: &str = "plan.json";

/// Everything that was planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// In the session token of each shard, so that no other plan's records are taken for this one's.
    pub id: String,
    /// Labels of the kernels.
    pub kernels: Vec<String>,
    /// The shards, by their numbers from 0.
    pub shards: Vec<Planned>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Estimated seconds.
    pub seconds: f64,
    /// Its tests.
    pub tests: Vec<TestId>,
}

impl Plan {
    /// From what was split.
    pub fn new(id: String, kernels: Vec<String>, parts: &[Part]) -> Self {
        let shards = parts.iter().map(|p| Planned { seconds: p.seconds, tests: p.tests.iter().cloned().collect() });
        Self { id, kernels, shards: shards.collect() }
    }

    /// From its file.
    ///
    /// # Errors
    /// No file, or something else in it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .with_context(|| format!("no plan {}; `cargo ktstr shard plan` writes one", path.display()))?;
        serde_json::from_slice(&text).with_context(|| {
            format!("{} is no plan of this version; make it anew with `cargo ktstr shard plan`", path.display())
        })
    }

    /// The shard whose session this is.
    pub fn shard_of(&self, run_id: Option<&str>) -> Option<usize> {
        let number = run_id?.strip_prefix(&self.id)?.strip_prefix('.')?.parse().ok()?;
        (number < self.shards.len()).then_some(number)
    }
}

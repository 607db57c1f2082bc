//! What nextest would run, and what the test binaries estimate of it.

use crate::cargo;
use crate::names::TestId;
use crate::router::question;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What a binary says of one of its tests (`--ktstr-list-costs`).
#[derive(Clone, Debug, Deserialize)]
pub struct Cost {
    name: String,
    /// Estimated seconds.
    pub seconds: f64,
    /// Its feature bits.
    pub features: u64,
}

/// The tests that some nextest arguments mean.
#[derive(Debug, Default)]
pub struct Offer {
    /// Tests of the harness, but for the sweep's cells, which are `cargo ktstr verifier`'s.
    pub weighed: BTreeMap<TestId, Cost>,
    /// libtest's, of which nothing is known.
    pub plain: BTreeSet<TestId>,
}

impl Offer {
    /// Builds and lists with these nextest arguments; `settings` is for nextest and for the binaries alike.
    ///
    /// # Errors
    /// What cargo says, or a binary that does not answer.
    pub fn of(words: &[String], settings: impl Fn(&mut Command) -> Result<()>) -> Result<Self> {
        let mut command = cargo::nextest()?;
        cargo::metadata(words, false)?;
        command.args(["list", "--message-format", "json", "--cargo-quiet"]).args(cargo::listing_words(words));
        settings(&mut command)?;
        command.env_remove("KTSTR_BUDGET_SECS");
        let output = command.stderr(Stdio::inherit()).output().context("failed to start cargo nextest")?;
        if !output.status.success() {
            bail!("the tests could not be listed; what cargo said is above");
        }
        let listed = serde_json::from_slice(&output.stdout).context("nextest answered something else than JSON")?;
        let (tests, binaries) = chosen(&listed);
        let mut costs = BTreeMap::new();
        for (id, path) in binaries {
            let output = question(&path, "--ktstr-list-costs", &settings)?;
            for line in output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                let cost: Cost =
                    serde_json::from_slice(line).with_context(|| format!("what {} said", path.display()))?;
                costs.insert(TestId { binary: id.clone(), name: cost.name.clone() }, cost);
            }
        }
        Ok(Self::joined(tests, costs))
    }

    fn joined(tests: BTreeSet<TestId>, mut costs: BTreeMap<TestId, Cost>) -> Self {
        let mut offer = Self::default();
        for test in tests {
            match costs.remove(&test) {
                Some(cost) => drop(offer.weighed.insert(test, cost)),
                None => drop(offer.plain.insert(test)),
            }
        }
        offer
    }

    /// Nothing at all would run.
    pub fn is_empty(&self) -> bool {
        self.weighed.is_empty() && self.plain.is_empty()
    }
}

/// Tests that match, and the binaries of ours they are in.
fn chosen(listed: &Value) -> (BTreeSet<TestId>, BTreeMap<String, PathBuf>) {
    let (mut tests, mut binaries) = (BTreeSet::new(), BTreeMap::new());
    for (id, suite) in listed["rust-suites"].as_object().into_iter().flatten() {
        let cases = suite["testcases"].as_object().into_iter().flatten();
        let chosen = cases.filter(|(_, c)| c["filter-match"]["status"] == "matches").map(|(name, _)| name);
        let mine = chosen.filter(|name| !name.starts_with("verifier/"));
        let before = tests.len();
        tests.extend(mine.map(|name| TestId { binary: id.clone(), name: name.clone() }));
        let path = PathBuf::from(suite["binary-path"].as_str().unwrap_or_default());
        if tests.len() > before && cargo::links_the_harness(&path) {
            binaries.insert(id.clone(), path);
        }
    }
    (tests, binaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_is_offered_with_its_estimate_and_cells_of_the_sweep_are_not() {
        let listed = serde_json::json!({"rust-suites": {"b": {"binary-path": "/nonexistent", "testcases": {
            "ktstr/a": {"filter-match": {"status": "matches"}},
            "ktstr/left_out": {"filter-match": {"status": "mismatch"}},
            "verifier/s/k/p": {"filter-match": {"status": "matches"}},
            "unit::plain": {"filter-match": {"status": "matches"}}}}}});
        let (tests, binaries) = chosen(&listed);
        assert!(binaries.is_empty());
        let id = |name: &str| TestId { binary: "b".into(), name: name.into() };
        let cost = |name: &str| Cost { name: name.into(), seconds: 12.0, features: 1 };
        let costs = ["ktstr/a", "ktstr/left_out"].map(|name| (id(name), cost(name)));
        let offer = Offer::joined(tests, costs.into());
        assert_eq!(offer.weighed.keys().cloned().collect::<Vec<_>>(), [id("ktstr/a")]);
        assert_eq!(offer.plain, BTreeSet::from([id("unit::plain")]));
    }
}

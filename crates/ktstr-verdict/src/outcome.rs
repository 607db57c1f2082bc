//! Outcomes and how they fold: Fail > Inconclusive > Pass > Skip.

use crate::cgroup::CgroupStats;
use crate::exit::Verdict;
use crate::monitor::MonitorSummary;
use crate::phase::Phase;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a check looked at; the host may only relax [`Fairness`](Self::Fairness) and [`Latency`](Self::Latency).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// Anything a test says of itself.
    #[default]
    Other,
    /// A worker stood still.
    Progress,
    /// A worker ran where it must not.
    Isolation,
    /// CPU time was shared unevenly.
    Fairness,
    /// Something took too long.
    Latency,
    /// Something happened too seldom or too often.
    Rate,
    /// Memory or caches were far away.
    Locality,
    /// The scheduler left, erred or was replaced.
    Scheduler,
    /// The kernel complained.
    KernelLog,
    /// A comparison written in a test body.
    Claim,
    /// Run queues were long, uneven, or their clocks stood still.
    Queues,
}

/// Why an outcome is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What was looked at.
    pub kind: CheckKind,
    /// Who, where, when, the value and its limit.
    pub message: String,
}

impl Detail {
    /// A detail of a known kind.
    pub fn new(kind: CheckKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<String> for Detail {
    fn from(message: String) -> Self {
        Self::new(CheckKind::Other, message)
    }
}

impl From<&str> for Detail {
    fn from(message: &str) -> Self {
        Self::new(CheckKind::Other, message)
    }
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It held.
    Pass,
    /// It was not run.
    Skip {
        /// Why not.
        reason: String,
    },
    /// It ran and proved nothing.
    Inconclusive {
        /// Why.
        detail: Detail,
    },
    /// It did not hold.
    Fail {
        /// Why.
        detail: Detail,
    },
}

impl Outcome {
    /// The verdict of this outcome alone.
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Pass => Verdict::Pass,
            Self::Skip { .. } => Verdict::Skip,
            Self::Inconclusive { .. } => Verdict::Inconclusive,
            Self::Fail { .. } => Verdict::Fail,
        }
    }

    /// The reason or message, "" for a pass.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Skip { reason } => reason,
            Self::Inconclusive { detail } | Self::Fail { detail } => &detail.message,
        }
    }
}

/// What a test function returns: a list of outcomes, with what was measured on the way.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AssertResult {
    /// One for each check.
    pub outcomes: Vec<Outcome>,
    /// Named figures.
    pub metrics: BTreeMap<String, f64>,
    /// One for each cgroup.
    pub cgroups: Vec<CgroupStats>,
    /// The steps that were run.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// One for each run of the sampler.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub monitor: Vec<MonitorSummary>,
    /// What the passed checks saw, for people who ask (`KTSTR_LOG_PASSES`); no record holds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<String>,
}

/// Texts of passed checks that are kept: enough to read, too few to make a frame too large.
const PASSES_KEPT: usize = 1000;

impl AssertResult {
    fn of(outcome: Outcome) -> Self {
        Self { outcomes: vec![outcome], ..Self::default() }
    }

    /// One passed check.
    pub fn pass() -> Self {
        Self::of(Outcome::Pass)
    }

    /// One skip.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::of(Outcome::Skip { reason: reason.into() })
    }

    /// One failed check.
    pub fn fail(detail: impl Into<Detail>) -> Self {
        Self::of(Outcome::Fail { detail: detail.into() })
    }

    /// One check that proved nothing.
    pub fn inconclusive(detail: impl Into<Detail>) -> Self {
        Self::of(Outcome::Inconclusive { detail: detail.into() })
    }

    /// Adds one outcome.
    pub fn push(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// Adds a passed check with what it saw.
    pub fn held(&mut self, text: impl Into<String>) {
        self.outcomes.push(Outcome::Pass);
        if self.passes.len() < PASSES_KEPT {
            self.passes.push(text.into());
        }
    }

    /// Adds a check that did not hold.
    pub fn broken(&mut self, kind: CheckKind, message: impl Into<String>) {
        self.outcomes.push(Outcome::Fail { detail: Detail::new(kind, message) });
    }

    /// Adds a check that proved nothing.
    pub fn unknown(&mut self, kind: CheckKind, message: impl Into<String>) {
        self.outcomes.push(Outcome::Inconclusive { detail: Detail::new(kind, message) });
    }

    /// Appends what `other` holds; its metrics win over ours of the same name.
    pub fn merge(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.metrics.extend(other.metrics);
        self.cgroups.extend(other.cgroups);
        self.phases.extend(other.phases);
        self.monitor.extend(other.monitor);
        self.passes.extend(other.passes);
        self.passes.truncate(PASSES_KEPT);
    }

    /// [`merge`](Self::merge) as an expression.
    pub fn merged(mut self, other: Self) -> Self {
        self.merge(other);
        self
    }

    /// The worst outcome: Fail > Inconclusive > Pass > Skip. An empty list is a pass.
    pub fn fold(&self) -> Verdict {
        fn rank(verdict: Verdict) -> u8 {
            match verdict {
                Verdict::Skip => 0,
                Verdict::Pass => 1,
                Verdict::Inconclusive => 2,
                Verdict::Fail => 3,
            }
        }
        self.outcomes.iter().map(Outcome::verdict).max_by_key(|v| rank(*v)).unwrap_or(Verdict::Pass)
    }

    /// Whether there are outcomes and all of them are skips.
    #[must_use]
    pub fn is_skip(&self) -> bool {
        !self.outcomes.is_empty() && self.fold() == Verdict::Skip
    }

    /// Whether any outcome is a failure.
    #[must_use]
    pub fn is_fail(&self) -> bool {
        self.fold() == Verdict::Fail
    }

    /// The texts of all outcomes with this verdict, joined by newlines.
    #[must_use]
    pub fn texts(&self, verdict: Verdict) -> String {
        let texts = self.outcomes.iter().filter(|o| o.verdict() == verdict).map(Outcome::text);
        texts.collect::<Vec<_>>().join("\n")
    }
}

//! A scenario as a test writes it: what lives throughout, and step after step.

use super::op::Op;
use crate::cgroup::{CgroupDef, WorkSpec};
use crate::payload::Payload;
use std::time::Duration;

/// How long a step holds, once its setup and its operations are done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HoldSpec {
    /// This share of the test's duration, 0 to 1; the shares of all steps are at most 1 together.
    Frac(f64),
    /// So long, whatever the test's duration.
    Fixed(Duration),
    /// An equal part of what [`Frac`](Self::Frac) and [`Fixed`](Self::Fixed) steps leave; the step's operations come
    /// again in every interval until it is over.
    Loop {
        /// From one round of operations to the next.
        interval: Duration,
    },
    /// An equal part of what [`Frac`](Self::Frac) and [`Fixed`](Self::Fixed) steps leave.
    Rest,
}

impl HoldSpec {
    /// All that other steps leave.
    pub const FULL: Self = Self::Rest;
}

/// One step: cgroups are made, operations done, and then the load runs on for a while. Cgroups stay until they are removed.
#[derive(Clone, Debug)]
#[must_use]
pub struct Step {
    pub(crate) name: Option<String>,
    pub(crate) setup: Vec<CgroupDef>,
    pub(crate) ops: Vec<Op>,
    pub(crate) hold: HoldSpec,
}

impl Step {
    /// Cgroups first, then operations.
    pub const fn new(setup: Vec<CgroupDef>, ops: Vec<Op>, hold: HoldSpec) -> Self {
        Self { name: None, setup, ops, hold }
    }

    /// Cgroups only.
    pub const fn with_defs(setup: Vec<CgroupDef>, hold: HoldSpec) -> Self {
        Self::new(setup, Vec::new(), hold)
    }

    /// Operations only.
    pub const fn with_ops(ops: Vec<Op>, hold: HoldSpec) -> Self {
        Self::new(Vec::new(), ops, hold)
    }

    /// What the timeline calls it; its number otherwise.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// What lives from the first step to the last; no operation can remove it.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Backdrop {
    pub(crate) cgroups: Vec<CgroupDef>,
    pub(crate) works: Vec<WorkSpec>,
    pub(crate) payloads: Vec<&'static Payload>,
}

impl Backdrop {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A cgroup.
    pub fn cgroup(mut self, def: CgroupDef) -> Self {
        self.cgroups.push(def);
        self
    }

    /// Workers outside of all cgroups.
    pub fn work(mut self, work: WorkSpec) -> Self {
        self.works.push(work);
        self
    }

    /// A program outside of all cgroups.
    pub fn payload(mut self, payload: &'static Payload) -> Self {
        self.payloads.push(payload);
        self
    }
}

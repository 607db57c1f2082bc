//! What a test function is given.

use crate::assert::Assert;
use crate::claim::{Claim, ClaimOver, Series};
use crate::monitor::{EventBase, EventCounts};
use crate::scheduler::SchedulerControl;
use ktstr_topology::Topology;
use ktstr_verdict::{AssertResult, Outcome};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A test: runs in the guest, or on the host for `host_only`.
pub type TestFn = fn(&Ctx) -> anyhow::Result<AssertResult>;

/// Everything a [`Ctx`] is made of.
#[derive(Clone, Debug)]
pub struct CtxParams {
    /// The machine the test runs on.
    pub topology: Topology,
    /// How long workloads run.
    pub duration: Duration,
    /// The checks, all layers merged.
    pub assert: Assert,
    /// Cgroup that workloads live below.
    pub cgroup_root: PathBuf,
    /// Where enabling controllers starts; /sys/fs/cgroup when `None`.
    pub cgroup_walk_root: Option<PathBuf>,
    /// Runs on the host.
    pub host_only: bool,
    /// Name of the scheduler under test.
    pub scheduler_name: String,
    /// Changes it while the test runs.
    pub control: Arc<SchedulerControl>,
}

/// A test's view of its machine and its limits.
#[derive(Debug)]
pub struct Ctx {
    params: CtxParams,
    recorded: RefCell<AssertResult>,
    events: EventBase,
}

impl Ctx {
    /// Made by whoever runs the test.
    #[must_use]
    pub fn new(params: CtxParams) -> Self {
        Self { params, recorded: RefCell::default(), events: EventBase::now() }
    }

    /// The machine.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.params.topology
    }

    /// How long workloads run.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.params.duration
    }

    /// The checks in force.
    #[must_use]
    pub fn assert(&self) -> &Assert {
        &self.params.assert
    }

    /// Cgroup that workloads live below.
    #[must_use]
    pub fn cgroup_root(&self) -> &Path {
        &self.params.cgroup_root
    }

    /// Where enabling controllers starts.
    #[must_use]
    pub fn cgroup_walk_root(&self) -> &Path {
        self.params.cgroup_walk_root.as_deref().unwrap_or(Path::new("/sys/fs/cgroup"))
    }

    /// Whether the test runs on the host itself.
    #[must_use]
    pub fn is_host_only(&self) -> bool {
        self.params.host_only
    }

    /// Name of the scheduler under test.
    #[must_use]
    pub fn scheduler_name(&self) -> &str {
        &self.params.scheduler_name
    }

    /// Changes the scheduler while the test runs.
    #[must_use]
    pub fn scheduler_control(&self) -> &SchedulerControl {
        &self.params.control
    }

    /// A comparison that becomes an outcome: `ctx.claim("p99").value(p99_us).at_most(500)`.
    pub fn claim<'a>(&'a self, what: &'a str) -> Claim<'a> {
        Claim::new(self, what)
    }

    /// A claim about values over time: `ctx.claim_over("runnable", &series).steady_within(10.0)`.
    pub fn claim_over<'a>(&'a self, what: &'a str, series: &'a Series) -> ClaimOver<'a> {
        ClaimOver::new(self, what, series)
    }

    /// What the scheduler's event counters (`root/events`) have counted since the test began.
    ///
    /// # Errors
    /// No `sched_ext` scheduler is attached, or its kernel counts no events.
    pub fn events(&self) -> anyhow::Result<EventCounts> {
        self.events.since()
    }

    /// Adds a passed check with what it saw, which `KTSTR_LOG_PASSES` prints.
    pub fn record_pass(&self, saw: impl Into<String>) {
        self.recorded.borrow_mut().held(saw);
    }

    /// Adds an outcome, whatever the function returns.
    pub fn record(&self, outcome: Outcome) {
        self.recorded.borrow_mut().push(outcome);
    }

    /// Adds a named figure to the record.
    pub fn metric(&self, name: &str, value: f64) {
        self.recorded.borrow_mut().metrics.insert(name.to_owned(), value);
    }

    /// What was recorded beside the function's own result.
    pub fn take_outcomes(&self) -> AssertResult {
        self.recorded.take()
    }
}

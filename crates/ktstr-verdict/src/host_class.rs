//! Host classes: the test could not run *here*, which says nothing about the scheduler.
//!
//! They are causes, found at any depth of an error's chain, and in this order.

use anyhow::Error;
use thiserror::Error as ThisError;

/// Harness not configured: no kernel, no monitor program.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("harness not configured: {what}; {fix}")]
pub struct KernelUnavailable {
    /// What is missing.
    pub what: String,
    /// The one command to run.
    pub fix: String,
}

/// Performance mode cannot be had here.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("performance mode unavailable: {what}")]
pub struct PerfModeUnavailable {
    /// What is missing and what to do.
    pub what: String,
}

/// The operator's CPU cap cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("CPU budget cannot be met: {what}")]
pub struct CpuBudgetUnsatisfiable {
    /// The cap and what the test needs.
    pub what: String,
}

/// No host could build this machine.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("topology cannot be built on any host: {what}")]
pub struct TopologyUnrepresentable {
    /// The shape and the limit it breaks.
    pub what: String,
}

/// Busy now: cache slots, CPUs, KVM file descriptors, memory.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("host resources are busy: {what}; try again when other runs have ended")]
pub struct ResourceContention {
    /// What is busy.
    pub what: String,
}

/// This host is too small.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("this host is too small: wanted {wanted}, have {have}")]
pub struct TopologyInsufficient {
    /// What the test needs.
    pub wanted: String,
    /// What the host has, and what to do.
    pub have: String,
}

impl KernelUnavailable {
    /// What is missing, and the one command to run.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

impl TopologyInsufficient {
    /// What is needed, and what there is.
    pub fn new(wanted: impl Into<String>, have: impl Into<String>) -> Self {
        Self { wanted: wanted.into(), have: have.into() }
    }
}

macro_rules! new_from_what {
    ($($name:ident),*) => {$(
        impl $name {
            /// With the facts of the case.
            pub fn new(what: impl Into<String>) -> Self {
                Self { what: what.into() }
            }
        }
    )*};
}
new_from_what!(PerfModeUnavailable, CpuBudgetUnsatisfiable, TopologyUnrepresentable, ResourceContention);

/// What a host class does to a test; the reason carries no prefix.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostClass {
    /// The test is skipped.
    Skip {
        /// Why, and what to do.
        reason: String,
    },
    /// The test fails.
    Fail {
        /// Why, and what to do.
        reason: String,
    },
    /// The error is not about the host.
    NotHostClass,
}

/// Finds the first host class of the table in `error`'s chain, as a cause or as a context.
pub fn classify_host_error(error: &Error, no_skip: bool) -> HostClass {
    let skip = |reason: String| {
        if no_skip { HostClass::Fail { reason } } else { HostClass::Skip { reason } }
    };
    let fail = |reason: String| HostClass::Fail { reason };
    if let Some(reason) = reason_of::<KernelUnavailable>(error) {
        skip(reason)
    } else if let Some(reason) = reason_of::<PerfModeUnavailable>(error) {
        skip(reason)
    } else if let Some(reason) = reason_of::<CpuBudgetUnsatisfiable>(error) {
        fail(reason)
    } else if let Some(reason) = reason_of::<TopologyUnrepresentable>(error) {
        fail(reason)
    } else if let Some(reason) = reason_of::<ResourceContention>(error) {
        skip(reason)
    } else if let Some(reason) = reason_of::<TopologyInsufficient>(error) {
        skip(reason)
    } else {
        HostClass::NotHostClass
    }
}

fn reason_of<T: std::error::Error + Send + Sync + 'static>(error: &Error) -> Option<String> {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<T>())
        .or_else(|| error.downcast_ref::<T>())
        .map(ToString::to_string)
}

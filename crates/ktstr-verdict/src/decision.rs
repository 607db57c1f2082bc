//! One decision, two projections: the exit code and the record both come from it.

use crate::exit::{SidecarBits, Verdict};
use crate::host_class::{HostClass, classify_host_error};
use crate::marker::{
    ExpectAutoReproSatisfied, HarnessFault, PostVmAssertionFailure, SchedulerBuildRefused, ScxBpfErrorMatcherMismatch,
    SurvivesStormViolated,
};
use crate::outcome::AssertResult;
use anyhow::Error;

/// What the test and the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The test passes when it fails.
    pub expect_err: bool,
    /// Inconclusive counts as a pass.
    pub allow_inconclusive: bool,
    /// What would be skipped fails.
    pub no_skip: bool,
}

/// The verdict and what to tell the operator.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    verdict: Verdict,
    message: String,
}

impl Decision {
    fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        Self { verdict, message: message.into() }
    }

    /// The verdict.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The operator's message, without any prefix; "" for a plain pass.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        self.verdict.exit_code()
    }

    /// The record's flags.
    #[must_use]
    pub const fn bits(&self) -> SidecarBits {
        self.verdict.bits()
    }
}

/// The verdict of a run; the first rule that matches wins.
pub fn final_outcome(result: &Result<AssertResult, Error>, policy: Policy) -> Decision {
    match result {
        Ok(result) => of_result(result, policy),
        Err(error) => of_error(error, policy),
    }
}

fn of_result(result: &AssertResult, policy: Policy) -> Decision {
    if result.is_skip() {
        // Under expect_err as well: nothing was evaluated.
        return Decision::new(Verdict::Skip, result.texts(Verdict::Skip));
    }
    match result.fold() {
        Verdict::Fail if policy.expect_err => {
            Decision::new(Verdict::Pass, format!("failed as expected: {}", result.texts(Verdict::Fail)))
        }
        Verdict::Fail => Decision::new(Verdict::Fail, result.texts(Verdict::Fail)),
        Verdict::Inconclusive if policy.expect_err => Decision::new(
            Verdict::Fail,
            format!("expected a failure, but the test was inconclusive: {}", result.texts(Verdict::Inconclusive)),
        ),
        _ if policy.expect_err => Decision::new(Verdict::Fail, "expected a failure, but the test passed"),
        Verdict::Inconclusive if policy.allow_inconclusive => Decision::new(
            Verdict::Pass,
            format!("inconclusive, which this test allows: {}", result.texts(Verdict::Inconclusive)),
        ),
        Verdict::Inconclusive => Decision::new(Verdict::Inconclusive, result.texts(Verdict::Inconclusive)),
        Verdict::Pass | Verdict::Skip => Decision::new(Verdict::Pass, ""),
    }
}

fn of_error(error: &Error, policy: Policy) -> Decision {
    let text = || format!("{error:#}");
    if has::<HarnessFault>(error) {
        return Decision::new(Verdict::Fail, text());
    }
    match classify_host_error(error, policy.no_skip) {
        HostClass::Skip { reason } => return Decision::new(Verdict::Skip, reason),
        HostClass::Fail { reason } => return Decision::new(Verdict::Fail, reason),
        HostClass::NotHostClass => {}
    }
    let never_inverted = has::<PostVmAssertionFailure>(error)
        || has::<SchedulerBuildRefused>(error)
        || has::<SurvivesStormViolated>(error);
    if never_inverted {
        Decision::new(Verdict::Fail, text())
    } else if has::<ExpectAutoReproSatisfied>(error) {
        Decision::new(Verdict::Pass, format!("reproduced as expected: {}", text()))
    } else if policy.expect_err && has::<ScxBpfErrorMatcherMismatch>(error) {
        Decision::new(Verdict::Fail, format!("another error than the expected one: {}", text()))
    } else if policy.expect_err {
        Decision::new(Verdict::Pass, format!("failed as expected: {}", text()))
    } else {
        Decision::new(Verdict::Fail, text())
    }
}

/// As a context anywhere (`downcast_ref` on the outer error) or as a cause anywhere (the chain).
fn has<T: std::error::Error + Send + Sync + 'static>(error: &Error) -> bool {
    error.downcast_ref::<T>().is_some() || error.chain().any(<dyn std::error::Error + 'static>::is::<T>)
}

//! From a test's body to what is reported of it, in a guest and on a real machine alike.

use crate::ctx::Ctx;
use crate::payload::TestBody;
use anyhow::anyhow;
use ktstr_verdict::{AssertResult, HarnessFault, Outcome};
use ktstr_wire::{Stage, TestReport};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body. What could not be carried out is told apart from what failed: no expectation may invert it.
#[must_use]
pub fn report(ctx: &Ctx, body: TestBody) -> TestReport {
    let result = catch_unwind(AssertUnwindSafe(|| body.run(ctx)))
        .unwrap_or_else(|payload| Err(anyhow!("the test function panicked: {}", panic_text(&*payload))));
    match result {
        Ok(result) => {
            TestReport { ok: Some(finite(result.merged(ctx.take_outcomes()))), err: None, stage: Stage::Test }
        }
        Err(e) => {
            let stage = if e.is::<HarnessFault>() { Stage::Scenario } else { Stage::Test };
            TestReport { ok: None, err: Some(format!("{e:#}")), stage }
        }
    }
}

/// What a panic said.
#[must_use]
pub fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// A figure that is not a number cannot travel, and a run that measured one has measured nothing.
fn finite(mut result: AssertResult) -> AssertResult {
    let bad: Vec<String> = result.metrics.iter().filter(|(_, v)| !v.is_finite()).map(|(k, _)| k.clone()).collect();
    for name in bad {
        result.metrics.remove(&name);
        let message = format!("metric `{name}` is not a finite number");
        result.push(Outcome::Inconclusive { detail: message.into() });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assert::Assert;
    use crate::ctx::{CtxParams, TestFn};
    use ktstr_topology::Topology;
    use ktstr_verdict::Verdict;

    fn reported(func: TestFn) -> TestReport {
        let ctx = Ctx::new(CtxParams {
            topology: Topology::new(1, 1, 1, 1).unwrap(),
            duration: std::time::Duration::ZERO,
            assert: Assert::NONE,
            cgroup_root: "/nonexistent".into(),
            cgroup_walk_root: None,
            host_only: true,
            scheduler_name: "eevdf".into(),
            control: std::sync::Arc::default(),
        });
        report(&ctx, TestBody { func, payload: None, workloads: &[] })
    }

    #[test]
    fn a_scenario_that_could_not_be_carried_out_is_not_the_test_s_own_error() {
        assert_eq!(reported(|_| Err(anyhow!(HarnessFault::new("no cgroup")))).stage, Stage::Scenario);
        assert_eq!(reported(|_| Err(anyhow!("wrong"))).stage, Stage::Test);
        let panicked = reported(|_| panic!("on purpose"));
        assert_eq!((panicked.stage, panicked.ok), (Stage::Test, None));
        assert!(panicked.err.unwrap().contains("on purpose"));
    }

    #[test]
    fn a_figure_that_is_no_number_proves_nothing() {
        let result = reported(|ctx| {
            ctx.metric("a", f64::NAN);
            Ok(AssertResult::pass())
        });
        let ok = result.ok.unwrap();
        assert_eq!((ok.fold(), ok.metrics.len()), (Verdict::Inconclusive, 0));
    }
}

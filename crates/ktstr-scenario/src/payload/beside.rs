//! A test's body with the programs that its declaration names.

use super::declare::Payload;
use super::running::RunningPayload;
use crate::ctx::{Ctx, TestFn};
use anyhow::Result;
use ktstr_verdict::{AssertResult, Outcome};
use std::time::Instant;

/// A test's function and its programs.
#[derive(Clone, Copy, Debug)]
pub struct TestBody {
    /// The function.
    pub func: TestFn,
    /// The main workload: started before the function, and waited for after it.
    pub payload: Option<&'static Payload>,
    /// Programs beside them: started before both, and ended after both.
    pub workloads: &'static [&'static Payload],
}

impl TestBody {
    /// Starts the programs, calls the function, waits for the payload, ends the workloads; everything has its say.
    ///
    /// A workload that ended by itself before that was no company for all of the test, which is inconclusive then.
    ///
    /// # Errors
    /// The function's own, and programs that could not be started.
    pub fn run(&self, ctx: &Ctx) -> Result<AssertResult> {
        let began = Instant::now();
        let workloads =
            self.workloads.iter().map(|p| RunningPayload::spawn(ctx, p, None)).collect::<Result<Vec<_>>>()?;
        let payload = self.payload.map(|p| RunningPayload::spawn(ctx, p, None)).transpose()?;
        let mut result = (self.func)(ctx)?;
        if result.is_skip() {
            // What is dropped here is killed, and a test that never ran does not pass by its programs.
            return Ok(result);
        }
        if let Some(payload) = payload {
            result.merge(payload.wait()?);
        }
        for (mut running, payload) in workloads.into_iter().zip(self.workloads) {
            let early = running.has_ended()?;
            let judged = running.kill()?;
            if let Some(after) = early
                && !judged.is_fail()
            {
                let message = format!(
                    "workload `{}` ended by itself after {:.1} s of a test of {:.1} s: what was seen after that was not beside \
                     it; let it run without end, it is ended with the test",
                    payload.name,
                    after.as_secs_f64(),
                    began.elapsed().as_secs_f64()
                );
                result.push(Outcome::Inconclusive { detail: message.into() });
            }
            result.merge(judged);
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assert, CtxParams};
    use ktstr_topology::Topology;
    use ktstr_verdict::Verdict;
    use std::sync::Arc;
    use std::time::Duration;

    const fn sh(name: &'static str, args: &'static [&'static str]) -> Payload {
        Payload { name, binary: "sh", args, ..Payload::DEFAULT }
    }

    const ENDLESS: Payload = sh("endless", &["-c", "while :; do sleep 1; done"]);
    const SHORT: Payload = sh("short", &["-c", "exit 0"]);
    const BROKEN: Payload = sh("broken", &["-c", "echo because >&2; exit 9"]);
    const MAIN: Payload = sh("main", &["-c", "sleep 0.3"]);

    fn run(func: TestFn, payload: Option<&'static Payload>, workloads: &'static [&'static Payload]) -> AssertResult {
        let ctx = Ctx::new(CtxParams {
            topology: Topology::new(1, 1, 1, 1).unwrap(),
            duration: Duration::from_secs(1),
            assert: Assert::NONE,
            cgroup_root: "/nonexistent".into(),
            cgroup_walk_root: None,
            host_only: true,
            scheduler_name: "host".to_owned(),
            control: Arc::default(),
        });
        TestBody { func, payload, workloads }.run(&ctx).unwrap()
    }

    #[allow(clippy::unnecessary_wraps)]
    fn passes(_: &Ctx) -> Result<AssertResult> {
        Ok(AssertResult::pass())
    }

    #[allow(clippy::unnecessary_wraps)]
    fn skips(_: &Ctx) -> Result<AssertResult> {
        Ok(AssertResult::skip("not here"))
    }

    #[test]
    fn the_test_lasts_as_long_as_its_payload_and_a_workload_is_ended_with_it() {
        let result = run(passes, Some(&MAIN), &[&ENDLESS]);
        assert_eq!(result.fold(), Verdict::Pass, "{result:?}");
        assert!(result.metrics["main.wall_s"] >= 0.3 && result.metrics["endless.wall_s"] >= 0.3);
    }

    #[test]
    fn a_workload_that_ends_early_leaves_the_test_inconclusive_and_one_that_fails_fails_it() {
        let early = run(passes, Some(&MAIN), &[&ENDLESS, &SHORT]);
        assert!(early.texts(Verdict::Inconclusive).contains("`short` ended by itself"), "{early:?}");
        let broken = run(passes, Some(&MAIN), &[&BROKEN]);
        assert!(broken.texts(Verdict::Fail).contains("because"), "{broken:?}");
        assert!(run(passes, Some(&BROKEN), &[]).is_fail());
    }

    #[test]
    fn a_body_that_skips_stays_a_skip_whatever_runs_beside_it() {
        assert!(run(skips, Some(&MAIN), &[&ENDLESS]).is_skip());
    }
}

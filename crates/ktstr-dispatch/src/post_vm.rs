//! Checks that a test makes on the host when its machine has ended: `post_vm` and `post_vm_unconditional`.

use crate::entry::KtstrTestEntry;
use crate::machine::Attempt;
use crate::shape::{kernel_lines, scheduler_error};
use ktstr_scenario::panic_text;
use ktstr_topology::Topology;
use ktstr_verdict::{AssertResult, CgroupStats, HarnessFault, Policy, PostVmAssertionFailure, Verdict, final_outcome};
use ktstr_wire::Message;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A check on the host. What it returns is added to the test's result; a failure, an error and a panic of it fail the test,
/// whatever the test expects.
pub type PostVmFn = fn(&VmResult) -> anyhow::Result<AssertResult>;

/// What is left of a machine: for `post_vm` of a run that would pass, for `post_vm_unconditional` of whatever there is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VmResult {
    /// The test's bare name.
    pub test: String,
    /// The machine that was asked for, `NnNlNcNt`.
    pub topology: String,
    /// Whether the run passes, as far as it is known: a failure that the test expects is a pass.
    pub passed: bool,
    /// Outcomes, metrics and cgroups; `None` when the test could not be observed.
    pub result: Option<AssertResult>,
    /// Why there is no result, or what marks it; "" when nothing does.
    pub error: String,
    /// Release of the guest's kernel (uname -r), "" when it never said hello.
    pub kernel: String,
    /// Declared name of the scheduler under test.
    pub scheduler: String,
    /// What the scheduler's process wrote, by line.
    pub scheduler_log: Vec<String>,
    /// What the kernel says of a scheduler that it threw out, "" when it did not.
    pub scheduler_error: String,
    /// The kernel's log, by line, `[seconds] text`; empty when the guest was lost before it sent it.
    pub kernel_log: Vec<String>,
    /// The console's last bytes.
    pub console: String,
    /// Microseconds of each phase, as in the record.
    pub phases_us: BTreeMap<String, u64>,
}

impl VmResult {
    /// A figure that the test measured.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.result.as_ref()?.metrics.get(name).copied()
    }

    /// What the workers of a cgroup did.
    #[must_use]
    pub fn cgroup(&self, name: &str) -> Option<&CgroupStats> {
        self.result.as_ref()?.cgroups.iter().find(|c| c.name == name)
    }

    /// What an attempt has left; an attempt without a machine has left nothing to look at.
    pub(crate) fn of(
        entry: &KtstrTestEntry,
        topology: &Topology,
        attempt: &Attempt,
        result: &anyhow::Result<AssertResult>,
    ) -> Option<Self> {
        let run = attempt.run.as_ref()?;
        let mut vm = Self {
            test: entry.name.to_owned(),
            topology: topology.to_string(),
            result: result.as_ref().ok().or(attempt.measured.as_ref()).cloned(),
            error: result.as_ref().err().map_or_else(String::new, |e| format!("{e:#}")),
            scheduler: entry.scheduler.name.to_owned(),
            scheduler_error: scheduler_error(&run.transcript),
            kernel_log: kernel_lines(&run.transcript).into_iter().map(str::to_owned).collect(),
            console: run.console.clone(),
            phases_us: run.phases_us.clone(),
            ..Self::default()
        };
        for (_, message) in run.transcript.messages() {
            match message {
                Message::Hello(hello) => vm.kernel.clone_from(&hello.release),
                Message::SchedulerLog(line) => vm.scheduler_log.push(line.clone()),
                _ => {}
            }
        }
        Some(vm)
    }
}

/// Says in a `post_vm` that the check cannot be made here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
struct PostVmSkip {
    reason: String,
}

/// An error for `post_vm` to return when its check cannot be made here: a test that would have passed becomes a skip, and one
/// that failed stays failed.
///
/// ```ignore
/// let baseline = read_baseline().ok_or_else(|| post_vm_skip("no baseline on this host"))?;
/// ```
#[must_use]
pub fn post_vm_skip(reason: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(PostVmSkip { reason: reason.into() })
}

/// Calls what the test declares, and adds what it says to the result.
///
/// `post_vm` is called when the run would pass, `post_vm_unconditional` in any case; neither without a machine (`vm` is
/// `None`), for then there is nothing to look at.
///
/// # Errors
/// `result`'s own, with [`PostVmAssertionFailure`] on it when a check failed.
pub fn check(
    entry: &KtstrTestEntry,
    policy: Policy,
    vm: Option<VmResult>,
    result: anyhow::Result<AssertResult>,
) -> anyhow::Result<AssertResult> {
    let so_far = final_outcome(&result, policy).verdict();
    let passed = so_far == Verdict::Pass;
    let checks =
        [("post_vm", entry.post_vm.filter(|_| passed)), ("post_vm_unconditional", entry.post_vm_unconditional)];
    let Some(vm) = vm else {
        return match checks.iter().find(|(_, check)| check.is_some() && passed) {
            Some((name, _)) => Err(anyhow::Error::new(HarnessFault::new(format!("{name} had no machine to look at")))),
            None => result,
        };
    };
    let vm = VmResult { passed, ..vm };
    let mut said = Said::default();
    for (name, check) in checks {
        if let Some(check) = check {
            said.hear(name, catch_unwind(AssertUnwindSafe(|| check(&vm))), policy);
        }
    }
    said.add_to(result, so_far)
}

/// What the checks said.
#[derive(Default)]
struct Said {
    broken: Vec<String>,
    skip: Option<String>,
    more: AssertResult,
}

impl Said {
    fn hear(&mut self, name: &str, answer: std::thread::Result<anyhow::Result<AssertResult>>, policy: Policy) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(payload) => return self.broken.push(format!("{name} panicked: {}", panic_text(&*payload))),
        };
        let result = match answer {
            Ok(result) => result,
            // As text: a host class or marker inside is not the run's.
            Err(e) => match e.downcast_ref::<PostVmSkip>() {
                Some(skip) => AssertResult::skip(&*skip.reason),
                None => return self.broken.push(format!("{name}: {e:#}")),
            },
        };
        let verdict = result.fold();
        if result.is_skip() {
            self.skip = Some(format!("{name}: {}", result.texts(Verdict::Skip)));
            // Its outcomes would turn a test that has none into a skip, whatever became of it.
            self.more.metrics.extend(result.metrics);
            return;
        }
        if verdict == Verdict::Fail || (verdict == Verdict::Inconclusive && policy.expect_err) {
            // Beside a failure that is expected, nobody would hear that this check proved nothing.
            self.broken.push(format!("{name}: {}", result.texts(verdict)));
        }
        self.more.merge(result);
    }

    fn add_to(self, result: anyhow::Result<AssertResult>, so_far: Verdict) -> anyhow::Result<AssertResult> {
        let Self { broken, skip, mut more } = self;
        if !broken.is_empty() {
            let marker = PostVmAssertionFailure::new(broken.join("\n"));
            return Err(match result {
                Ok(result) if so_far == Verdict::Fail => anyhow::anyhow!(result.texts(Verdict::Fail)).context(marker),
                Ok(_) => anyhow::Error::new(marker),
                Err(e) => e.context(marker),
            });
        }
        let mut result = match (result, skip) {
            (Ok(result), Some(reason)) if so_far == Verdict::Pass => {
                return Ok(AssertResult { outcomes: AssertResult::skip(reason).outcomes, ..result });
            }
            (Err(_), Some(reason)) if so_far == Verdict::Pass => return Ok(AssertResult::skip(reason)),
            (result, _) => result?,
        };
        if so_far == Verdict::Skip {
            // What never ran does not pass by a check of what is left of it.
            more.outcomes.clear();
        }
        result.merge(more);
        Ok(result)
    }
}

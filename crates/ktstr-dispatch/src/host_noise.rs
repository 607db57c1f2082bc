//! What the host did to the guest's clocks.
//!
//! A bad latency or fairness figure that was taken while the host kept the machine's CPUs waiting says nothing of the scheduler:
//! such a failure becomes inconclusive, and says by which numbers. Nothing else changes, and nothing becomes a pass.

use ktstr_verdict::{AssertResult, CheckKind, Detail, Outcome};
use ktstr_vmm::HostDelay;

/// Share of their time that the machine's threads may spend waiting for a host CPU before a bad latency or fairness figure
/// is put down to the host: below it, a figure is the guest's own.
pub const HOST_DELAY_SHARE: f64 = 0.05;

/// What the machine had of its host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostNoise {
    /// How long its threads ran and waited.
    pub delay: HostDelay,
    /// Host CPUs that a guest CPU can count on at once, at most 1.
    pub vcpu_share: f64,
}

impl HostNoise {
    /// Why the host may be to blame, with the numbers; `None` when it is not.
    #[must_use]
    pub fn blame(&self) -> Option<String> {
        // Asked this way round, a share that is no number puts nothing down to the guest.
        let whole = self.vcpu_share >= 1.0;
        if !whole {
            return Some(format!(
                "the guest's CPUs take turns on {:.2} of a host CPU each, and a figure of this kind needs a whole one",
                self.vcpu_share
            ));
        }
        let HostDelay { run_ns, run_delay_ns } = self.delay;
        let total = u128::from(run_ns) + u128::from(run_delay_ns);
        #[allow(clippy::cast_precision_loss)]
        let share = if total == 0 { 0.0 } else { run_delay_ns as f64 / total as f64 };
        (share > HOST_DELAY_SHARE).then(|| {
            format!(
                "the machine waited {} ms of {} ms for a host CPU, {:.1} %, and {:.0} % are the most for a figure of this kind",
                run_delay_ns / 1_000_000,
                total / 1_000_000,
                share * 100.0,
                HOST_DELAY_SHARE * 100.0
            )
        })
    }
}

/// Latency and fairness failures that the host may be to blame for become inconclusive.
pub fn relax(result: &mut AssertResult, noise: &HostNoise) {
    let Some(why) = noise.blame() else { return };
    for outcome in &mut result.outcomes {
        if let Outcome::Fail { detail } = outcome
            && matches!(detail.kind, CheckKind::Latency | CheckKind::Fairness)
        {
            let message = format!("{} (inconclusive: {why})", detail.message);
            *outcome = Outcome::Inconclusive { detail: Detail::new(detail.kind, message) };
        }
    }
}

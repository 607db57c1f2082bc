//! What the host's noise may change, against a model in whole numbers.
#![allow(clippy::unwrap_used)]

use ktstr_dispatch::host_noise::{HostNoise, relax};
use ktstr_verdict::{AssertResult, CheckKind, Detail, Outcome, Policy, Verdict, final_outcome};
use ktstr_vmm::HostDelay;
use proptest::prelude::*;

const KINDS: [CheckKind; 11] = [
    CheckKind::Other,
    CheckKind::Progress,
    CheckKind::Isolation,
    CheckKind::Fairness,
    CheckKind::Latency,
    CheckKind::Rate,
    CheckKind::Locality,
    CheckKind::Scheduler,
    CheckKind::KernelLog,
    CheckKind::Claim,
    CheckKind::Queues,
];

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let detail = (0..KINDS.len(), "[a-z]{1,8}").prop_map(|(k, text)| Detail::new(KINDS[k], text));
    prop_oneof![
        Just(Outcome::Pass),
        "[a-z]{1,8}".prop_map(|reason| Outcome::Skip { reason }),
        detail.clone().prop_map(|detail| Outcome::Inconclusive { detail }),
        detail.prop_map(|detail| Outcome::Fail { detail }),
    ]
}

fn any_noise() -> impl Strategy<Value = HostNoise> {
    let share = prop_oneof![Just(1.0), Just(0.5), Just(0.999), Just(0.0), Just(f64::NAN)];
    let ms = || prop_oneof![Just(0u64), 0u64..2000, Just(u64::MAX / 1_000_000)];
    (ms(), ms(), share).prop_map(|(run, delay, vcpu_share)| HostNoise {
        delay: HostDelay { run_ns: run * 1_000_000, run_delay_ns: delay * 1_000_000 },
        vcpu_share,
    })
}

/// More than 5 % of its time waiting, or less than a host CPU for each of its own.
fn noisy(noise: &HostNoise) -> bool {
    let (run, delay) = (u128::from(noise.delay.run_ns), u128::from(noise.delay.run_delay_ns));
    delay * 100 > (run + delay) * 5 || noise.vcpu_share.is_nan() || noise.vcpu_share < 1.0
}

fn on_the_edge(noise: &HostNoise) -> bool {
    let (run, delay) = (u128::from(noise.delay.run_ns), u128::from(noise.delay.run_delay_ns));
    run + delay > 0 && delay * 100 == (run + delay) * 5
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Skip => 0,
        Verdict::Pass => 1,
        Verdict::Inconclusive => 2,
        Verdict::Fail => 3,
    }
}

proptest! {
    #[test]
    fn only_failed_latency_and_fairness_change_and_only_under_noise(
        outcomes in proptest::collection::vec(any_outcome(), 0..6),
        noise in any_noise(),
        expect_err: bool,
    ) {
        prop_assume!(!on_the_edge(&noise));
        let before = AssertResult { outcomes, ..AssertResult::default() };
        let mut after = before.clone();
        relax(&mut after, &noise);
        prop_assert_eq!(before.outcomes.len(), after.outcomes.len());
        for (a, b) in before.outcomes.iter().zip(&after.outcomes) {
            match (a, b) {
                (Outcome::Fail { detail: was }, Outcome::Inconclusive { detail: is }) => {
                    prop_assert!(noisy(&noise) && matches!(was.kind, CheckKind::Latency | CheckKind::Fairness));
                    prop_assert!(is.kind == was.kind && is.message.starts_with(&was.message));
                    prop_assert!(is.message.contains("inconclusive: "));
                }
                (Outcome::Fail { detail }, same) => {
                    prop_assert!(!noisy(&noise) || !matches!(detail.kind, CheckKind::Latency | CheckKind::Fairness));
                    prop_assert_eq!(a, same);
                }
                (a, b) => prop_assert_eq!(a, b),
            }
        }
        // A failure never becomes a pass, whatever the test expects.
        let policy = Policy { expect_err, ..Policy::default() };
        let decide = |r: &AssertResult| final_outcome(&Ok(r.clone()), policy).verdict();
        if decide(&before) != Verdict::Pass {
            prop_assert_ne!(decide(&after), Verdict::Pass);
        }
        if before.fold() == Verdict::Fail {
            prop_assert!(rank(after.fold()) >= rank(Verdict::Inconclusive));
        } else {
            prop_assert_eq!(before.fold(), after.fold());
        }
    }
}

#[test]
fn the_numbers_are_said() {
    let noise = |run_ms: u64, delay_ms: u64, vcpu_share| HostNoise {
        delay: HostDelay { run_ns: run_ms * 1_000_000, run_delay_ns: delay_ms * 1_000_000 },
        vcpu_share,
    };
    let said = noise(3000, 1000, 1.0).blame().unwrap();
    assert!(
        said.starts_with("the machine waited 1000 ms of 4000 ms for a host CPU, 25.0 %, and 5 % are the most"),
        "{said}"
    );
    assert!(noise(3000, 1000, 0.25).blame().unwrap().contains("0.25 of a host CPU each"));
    assert_eq!(noise(3000, 100, 1.0).blame(), None);
    assert_eq!(noise(0, 0, 1.0).blame(), None, "no time at all is no delay");
}

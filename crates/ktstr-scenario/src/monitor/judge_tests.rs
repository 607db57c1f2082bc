//! The monitor's verdicts against a model that knows only values, a limit and a row.

use super::super::parse::RunQueue;
use super::*;
use ktstr_verdict::Verdict;
use proptest::prelude::*;

/// A sample each 100 ms.
fn samples<T>(values: &[T], fill: impl Fn(&mut Sample, &T)) -> Vec<Sample> {
    let one = |(i, value): (usize, &T)| {
        let mut sample = Sample::blind(i as u64 * 100_000_000);
        fill(&mut sample, value);
        sample
    };
    values.iter().enumerate().map(one).collect()
}

fn depths(values: &[Option<u64>]) -> Vec<Sample> {
    samples(values, |s, v| {
        s.local_dsqs = Some(v.map(|depth| vec![(0, 0), (3, depth)]).ok_or_else(|| "no dump".to_owned()));
    })
}

fn queues(values: &[Option<Vec<u64>>]) -> Vec<Sample> {
    samples(values, |s, v| {
        let queue = |(cpu, tasks): (u32, &u64)| RunQueue { cpu, tasks: *tasks, clock_ns: s.at_ns, running_pid: 1 };
        let all = v.as_ref().map(|tasks| (0u32..).zip(tasks).map(queue).collect());
        s.queues = Some(all.ok_or_else(|| "no debugfs".to_owned()));
    })
}

/// Whether so many in a row are bad; `None` is neither good nor bad.
fn has_row(bad: &[Option<bool>], sustained: usize) -> bool {
    bad.windows(sustained).any(|w| w.iter().all(|b| *b == Some(true)))
}

fn model(bad: &[Option<bool>], unread: usize, sustained: usize) -> Verdict {
    if has_row(bad, sustained) {
        Verdict::Fail
    } else if bad.iter().flatten().count() < sustained || unread * 2 > bad.len() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

fn verdict(samples: &[Sample], assert: Assert) -> Verdict {
    judge(samples, &assert, None).fold()
}

proptest! {
    #[test]
    fn a_depth_is_judged_as_the_model_says(
        values in proptest::collection::vec(proptest::option::weighted(0.9, 0u64..4), 0..30),
        limit in 0u64..4,
        sustained in 1u64..7,
    ) {
        let bad: Vec<Option<bool>> = values.iter().map(|v| v.map(|v| v > limit)).collect();
        let unread = values.iter().filter(|v| v.is_none()).count();
        let assert =
            Assert { max_local_dsq_depth: Some(limit), sustained_samples: Some(sustained), ..Assert::NONE };
        let wanted = model(&bad, unread, usize::try_from(sustained).unwrap());
        prop_assert_eq!(verdict(&depths(&values), assert), wanted);
    }

    #[test]
    fn an_imbalance_is_judged_as_the_model_says(
        values in proptest::collection::vec(proptest::option::weighted(0.9, proptest::collection::vec(0u64..9, 1..4)), 0..20),
        limit in 1u64..6,
    ) {
        // longest / shortest > limit, in whole numbers; nothing to say of one CPU or of an idle machine.
        let bad: Vec<Option<bool>> = values
            .iter()
            .map(|v| {
                let v = v.as_ref()?;
                let (most, least) = (*v.iter().max()?, *v.iter().min()?);
                (v.len() > 1 && most > 0).then(|| most > limit * least.max(1))
            })
            .collect();
        let unread = values.iter().filter(|v| v.is_none()).count();
        let assert = Assert { max_imbalance_ratio: Some(float(limit)), ..Assert::NONE };
        prop_assert_eq!(verdict(&queues(&values), assert), model(&bad, unread, 5));
    }

    /// Counters that grow by whole numbers each 100 ms, by an attachment that may change.
    #[test]
    fn a_rate_is_judged_as_the_model_says(
        steps in proptest::collection::vec((0i64..20, prop::bool::weighted(0.05), prop::bool::weighted(0.1)), 1..30),
        limit in 0u64..200,
    ) {
        let (mut count, mut seq) = (0, 1);
        let values: Vec<(i64, u64, bool)> = steps
            .iter()
            .map(|(step, again, unread)| {
                if *again {
                    (count, seq) = (0, seq + 1);
                }
                count += step;
                (count, seq, *unread)
            })
            .collect();
        for (name, assert) in [
            (FALLBACK_EVENT, Assert { max_fallback_rate: Some(float(limit)), ..Assert::NONE }),
            (KEEP_LAST_EVENT, Assert { max_keep_last_rate: Some(float(limit)), ..Assert::NONE }),
        ] {
            let taken = samples(&values, |s, (count, seq, unread)| {
                s.enable_seq = Some(*seq);
                s.events = if *unread { Err("gone".into()) } else { Ok([(name.to_owned(), *count)].into()) };
            });
            let pairs = values.windows(2);
            let bad: Vec<Option<bool>> = pairs
                .clone()
                .map(|w| (!w[0].2 && !w[1].2 && w[0].1 == w[1].1).then(|| (w[1].0 - w[0].0) * 10 > i64::try_from(limit).unwrap()))
                .collect();
            let unread = pairs.filter(|w| w[0].2 || w[1].2).count();
            prop_assert_eq!(verdict(&taken, assert), model(&bad, unread, 5), "{}", name);
        }
    }

    #[test]
    fn a_clock_is_judged_as_the_model_says(
        moves in proptest::collection::vec((any::<bool>(), prop::bool::weighted(0.9)), 1..30),
        sustained in 1u64..6,
    ) {
        let mut clock = 5;
        let values: Vec<(u64, u32)> = moves
            .iter()
            .map(|(moves, busy)| {
                clock += u64::from(*moves);
                (clock, u32::from(*busy) * 7)
            })
            .collect();
        let taken = samples(&values, |s, (clock_ns, running_pid)| {
            s.queues = Some(Ok(vec![RunQueue { cpu: 2, tasks: 1, clock_ns: *clock_ns, running_pid: *running_pid }]));
        });
        let bad: Vec<Option<bool>> =
            values.windows(2).map(|w| Some(w[0].0 == w[1].0 && w[0].1 != 0 && w[1].1 != 0)).collect();
        let assert =
            Assert { fail_on_rq_clock_stuck: Some(true), sustained_samples: Some(sustained), ..Assert::NONE };
        prop_assert_eq!(verdict(&taken, assert), model(&bad, 0, usize::try_from(sustained).unwrap()));
    }
}

#[test]
fn no_samples_and_a_blind_monitor_prove_nothing() {
    let all = [
        Assert { max_imbalance_ratio: Some(f64::INFINITY), ..Assert::NONE },
        Assert { max_local_dsq_depth: Some(u64::MAX), ..Assert::NONE },
        Assert { max_fallback_rate: Some(f64::INFINITY), ..Assert::NONE },
        Assert { max_keep_last_rate: Some(f64::INFINITY), ..Assert::NONE },
        Assert { fail_on_rq_clock_stuck: Some(true), ..Assert::NONE },
    ];
    let blind = samples(&[(); 20], |_, ()| {});
    for assert in all {
        assert_eq!(verdict(&[], assert), Verdict::Inconclusive, "{assert:?}");
        let found = judge(&blind, &assert, None);
        assert_eq!(found.fold(), Verdict::Inconclusive, "{assert:?}");
        assert!(found.passes.is_empty());
    }
    assert!(judge(&blind, &Assert::library_defaults(), None).outcomes.is_empty(), "nothing asked, nothing said");
}

#[test]
fn a_failure_says_value_limit_cpu_times_and_attribute() {
    let taken = depths(&[Some(0), Some(60), Some(70), Some(60), Some(60), Some(60), Some(0)]);
    let found = judge(&taken, &Assert { max_local_dsq_depth: Some(50), ..Assert::NONE }, None);
    assert_eq!(
        found.texts(Verdict::Fail),
        "monitor: 70.00 tasks in a local dispatch queue on CPU 3, at most 50: 5 samples in a row from 0.100 s to 0.500 s \
         (max_local_dsq_depth)"
    );
}

#[test]
fn what_is_missing_is_named() {
    let taken = depths(&[None; 10]);
    let found = judge(&taken, &Assert { max_local_dsq_depth: Some(50), ..Assert::NONE }, None);
    assert!(found.texts(Verdict::Inconclusive).contains("0 of 10 samples could be judged"));
    assert!(found.texts(Verdict::Inconclusive).contains("no dump (max_local_dsq_depth)"));
}

#[test]
fn a_sampler_that_did_not_answer_proves_nothing_but_what_it_saw_still_fails() {
    let assert = Assert { max_local_dsq_depth: Some(50), ..Assert::NONE };
    let why = Some("the monitor's thread did not run");
    assert_eq!(judge(&depths(&[Some(0); 10]), &assert, why).fold(), Verdict::Inconclusive);
    assert_eq!(judge(&depths(&[Some(99); 10]), &assert, why).fold(), Verdict::Fail);
}

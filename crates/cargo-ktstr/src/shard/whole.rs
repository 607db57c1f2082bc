//! Whether the records of the shards make up the whole plan.

use super::end::End;
use super::plan::Plan;
use crate::names::{TestId, test_of};
use ktstr_sidecar::{Joined, SidecarRecord};
use ktstr_verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// What came of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// Why it is not whole, a line each; empty when it is.
    pub lacks: Vec<String>,
    /// Shards with a failed test that left no record: a plain `#[test]`.
    pub plain_failed: Vec<usize>,
    /// Shards that ran more than once.
    pub repeated: Vec<usize>,
    /// Failed and inconclusive runs.
    pub bad: (usize, usize),
}

impl Whole {
    /// The verdict over all; not whole is a failure.
    pub fn verdict(&self) -> Verdict {
        if !self.lacks.is_empty() || !self.plain_failed.is_empty() || self.bad.0 > 0 {
            Verdict::Fail
        } else if self.bad.1 > 0 {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }
}

/// Tests that a line names at most.
const NAMED: usize = 4;

/// Holds what is there against the plan. `joined` has only records of this plan.
pub fn examine(plan: &Plan, joined: &Joined, ends: &[End]) -> Whole {
    let several = plan.kernels.len() > 1;
    let there: BTreeMap<TestId, &SidecarRecord> = joined.runs().map(|(_, r)| (test_of(r, several), r)).collect();
    let mut whole = Whole::default();
    for (number, shard) in plan.shards.iter().enumerate() {
        let ended: Vec<&End> = ends.iter().filter(|e| plan.shard_of(Some(&e.run_id)) == Some(number)).collect();
        if ended.len() > 1 {
            whole.repeated.push(number);
        }
        if !ended.iter().any(|end| end.is_whole()) {
            whole.lacks.push(format!(
                "shard {number} {}",
                match ended.first() {
                    None => "has no end: it was not run, or it was killed".to_owned(),
                    Some(End { code: Some(code), .. }) => format!("could not be run: nextest ended with {code}"),
                    Some(End { code: None, .. }) => "was killed by a signal".to_owned(),
                }
            ));
            continue;
        }
        let missing: BTreeSet<&TestId> =
            shard.tests.iter().filter(|t| t.leaves_a_record() && !there.contains_key(t)).collect();
        if !missing.is_empty() {
            let some: Vec<&str> = missing.iter().take(NAMED).map(|t| t.name.as_str()).collect();
            let more = if missing.len() > NAMED { ", …" } else { "" };
            whole.lacks.push(format!("shard {number} lacks {} records: {}{more}", missing.len(), some.join(", ")));
        }
        let bad =
            |t: &TestId| there.get(t).is_some_and(|r| matches!(r.verdict(), Verdict::Fail | Verdict::Inconclusive));
        if ended.iter().any(|end| end.code == Some(100)) && !shard.tests.iter().any(bad) {
            whole.plain_failed.push(number);
        }
    }
    let count = |verdict: Verdict| there.values().filter(|r| r.verdict() == verdict).count();
    whole.bad = (count(Verdict::Fail), count(Verdict::Inconclusive));
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::plan::Planned;
    use ktstr_sidecar::Fold as _;
    use proptest::prelude::*;
    use std::path::Path;

    /// Three shards of two tests and a plain one.
    fn plan() -> Plan {
        let test = |name: String| TestId { binary: "p::t".into(), name };
        let shard = |n: usize| Planned {
            seconds: 1.0,
            tests: vec![
                test(format!("ktstr/a{n}/kernel_6_18")),
                test(format!("gauntlet/b{n}/tiny/kernel_7_3")),
                test(format!("plain::c{n}")),
            ],
        };
        Plan { id: "id".into(), kernels: vec!["6.18".into(), "7.3".into()], shards: (0..3).map(shard).collect() }
    }

    fn records(shard: usize, verdict: Verdict) -> Vec<SidecarRecord> {
        let one = |test: String, preset: Option<&str>, kernel: &str, verdict| SidecarRecord {
            binary: Some("p::t".into()),
            preset: preset.map(str::to_owned),
            kernel_label: Some(kernel.into()),
            run_id: Some(format!("id.{shard}")),
            ..SidecarRecord::new(&test, "1n1l2c1t", "eevdf", verdict)
        };
        vec![
            one(format!("a{shard}"), None, "6.18", verdict),
            one(format!("b{shard}"), Some("tiny"), "7.3", Verdict::Pass),
        ]
    }

    fn end(shard: usize, code: i32) -> End {
        End { run_id: format!("id.{shard}"), code: Some(code) }
    }

    fn look(records: Vec<SidecarRecord>, ends: &[End]) -> Whole {
        let mut joined = Joined::default();
        records.into_iter().for_each(|r| joined.take(Path::new("x"), r));
        examine(&plan(), &joined, ends)
    }

    proptest! {
        #[test]
        fn it_is_green_exactly_when_every_shard_ran_and_none_failed(
            runs in prop::collection::vec((0usize..3, any::<bool>()), 0..8), lost in prop::option::of(0usize..8),
        ) {
            let mut all = Vec::new();
            let mut ends = Vec::new();
            for (at, (shard, passed)) in runs.iter().enumerate() {
                if lost == Some(at) {
                    continue;
                }
                all.extend(records(*shard, if *passed { Verdict::Pass } else { Verdict::Fail }));
                ends.push(end(*shard, if *passed { 0 } else { 100 }));
            }
            let ran = |shard: usize| ends.iter().any(|e| *e == end(shard, 0) || *e == end(shard, 100));
            let all_ran = (0..3).all(ran);
            let none_failed = ends.iter().all(|e| e.code == Some(0));
            let whole = look(all.clone(), &ends);
            prop_assert_eq!(whole.lacks.is_empty(), all_ran);
            prop_assert_eq!(whole.verdict() == Verdict::Pass, all_ran && none_failed);
            all.reverse();
            prop_assert_eq!(look(all, &ends), whole);
        }

        #[test]
        fn a_record_that_is_missing_makes_it_incomplete(lost in 0usize..6) {
            let mut all: Vec<_> = (0..3).flat_map(|n| records(n, Verdict::Pass)).collect();
            all.remove(lost);
            let whole = look(all, &[end(0, 0), end(1, 0), end(2, 0)]);
            prop_assert!(whole.lacks.len() == 1 && whole.verdict() == Verdict::Fail);
        }
    }

    #[test]
    fn what_leaves_no_record_is_known_by_the_runner_s_code() {
        let all: Vec<_> = (0..3).flat_map(|n| records(n, Verdict::Pass)).collect();
        let whole = look(all.clone(), &[end(0, 0), end(1, 100), end(2, 0)]);
        assert_eq!((whole.plain_failed.clone(), whole.verdict()), (vec![1], Verdict::Fail));
        let whole = look(all, &[end(0, 0), end(1, 0), end(2, 101)]);
        assert_eq!(whole.lacks, ["shard 2 could not be run: nextest ended with 101"]);
    }

    #[test]
    fn a_shard_that_ran_twice_counts_once() {
        let all: Vec<_> = [0, 1, 1, 2].into_iter().flat_map(|n| records(n, Verdict::Pass)).collect();
        let whole = look(all, &[end(0, 0), end(1, 0), end(1, 0), end(2, 0)]);
        assert_eq!((whole.repeated.clone(), whole.verdict(), whole.bad), (vec![1], Verdict::Pass, (0, 0)));
    }
}

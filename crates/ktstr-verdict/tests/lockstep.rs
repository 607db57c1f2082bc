//! `final_outcome`, exit code and record flags in lockstep, against a table written from the specification alone, over every
//! combination of what it looks at.

use anyhow::{Error, anyhow};
use ktstr_verdict::*;
use proptest::prelude::*;

const HOSTS: [&str; 6] = ["kernel", "perf", "budget", "unrepresentable", "contention", "insufficient"];
const MARKERS: [&str; 6] = ["harness", "post_vm", "build", "storm", "repro", "matcher"];

/// 'P'ass, 'S'kip, 'I'nconclusive, 'F'ail of a list of outcomes.
fn table_ok(outcomes: &[char], policy: Policy) -> char {
    let has = |c| outcomes.contains(&c);
    match () {
        () if !outcomes.is_empty() && outcomes.iter().all(|&c| c == 'S') => 'S',
        () if has('F') => ['F', 'P'][usize::from(policy.expect_err)],
        () if policy.expect_err => 'F',
        () if has('I') => ['I', 'P'][usize::from(policy.allow_inconclusive)],
        () => 'P',
    }
}

/// The same of an error.
fn table_err(host: Option<&str>, markers: &[&str], policy: Policy) -> char {
    let has = |m| markers.contains(&m);
    match host {
        _ if has("harness") => 'F',
        Some("budget" | "unrepresentable") => 'F',
        Some(_) => ['S', 'F'][usize::from(policy.no_skip)],
        None if has("post_vm") || has("build") || has("storm") => 'F',
        None if has("repro") => 'P',
        None => ['F', 'P'][usize::from(policy.expect_err && !has("matcher"))],
    }
}

fn root(host: Option<&str>) -> Error {
    match host {
        None => anyhow!("a plain error"),
        Some("kernel") => KernelUnavailable::new("no kernel", "fetch one").into(),
        Some("perf") => PerfModeUnavailable::new("no").into(),
        Some("budget") => CpuBudgetUnsatisfiable::new("no").into(),
        Some("unrepresentable") => TopologyUnrepresentable::new("no").into(),
        Some("contention") => ResourceContention::new("no").into(),
        Some(_) => TopologyInsufficient::new("8 CPUs", "2 CPUs").into(),
    }
}

/// The marker as context of an error, or as its root.
fn marked(error: Option<Error>, marker: &str) -> Error {
    macro_rules! on {
        ($m:ident) => {
            match error {
                Some(e) => e.context($m::new("m")),
                None => $m::new("m").into(),
            }
        };
    }
    match marker {
        "harness" => on!(HarnessFault),
        "post_vm" => on!(PostVmAssertionFailure),
        "build" => on!(SchedulerBuildRefused),
        "storm" => on!(SurvivesStormViolated),
        "repro" => on!(ExpectAutoReproSatisfied),
        _ => on!(ScxBpfErrorMatcherMismatch),
    }
}

fn check(result: &Result<AssertResult, Error>, policy: Policy, wanted: char) {
    let decision = final_outcome(result, policy);
    let (verdict, exit, flags) = match wanted {
        'P' => (Verdict::Pass, 0, [true, false, false]),
        'S' => (Verdict::Skip, 0, [false, true, false]),
        'I' => (Verdict::Inconclusive, 2, [false, false, true]),
        _ => (Verdict::Fail, 1, [false, false, false]),
    };
    let bits = decision.bits();
    assert_eq!(decision.verdict(), verdict, "{result:?} {policy:?}");
    assert_eq!(decision.exit_code(), exit, "{result:?} {policy:?}");
    assert_eq!([bits.passed, bits.skipped, bits.inconclusive], flags, "{result:?} {policy:?}");
}

fn policies() -> impl Iterator<Item = Policy> {
    (0..8).map(policy_of)
}

fn policy_of(bits: u8) -> Policy {
    Policy { expect_err: bits & 1 != 0, allow_inconclusive: bits & 2 != 0, no_skip: bits & 4 != 0 }
}

fn result_of(outcomes: &[char]) -> AssertResult {
    let outcomes = outcomes.iter().map(|c| match c {
        'P' => Outcome::Pass,
        'S' => Outcome::Skip { reason: "r".into() },
        'I' => Outcome::Inconclusive { detail: "d".into() },
        _ => Outcome::Fail { detail: "d".into() },
    });
    AssertResult { outcomes: outcomes.collect(), ..AssertResult::default() }
}

#[test]
fn every_list_of_up_to_four_outcomes_under_every_policy() {
    let mut lists: Vec<Vec<char>> = vec![vec![]];
    for _ in 0..4 {
        let longer: Vec<Vec<char>> =
            lists.iter().flat_map(|l| "PSIF".chars().map(move |c| [l.as_slice(), &[c]].concat())).collect();
        lists.extend(longer);
    }
    for list in &lists {
        for policy in policies() {
            check(&Ok(result_of(list)), policy, table_ok(list, policy));
        }
    }
}

#[test]
fn every_host_class_with_every_set_of_markers_at_every_depth_under_every_policy() {
    for host in std::iter::once(None).chain(HOSTS.map(Some)) {
        for set in 0..1usize << MARKERS.len() {
            let markers: Vec<&str> = (0..MARKERS.len()).filter(|i| set & (1 << i) != 0).map(|i| MARKERS[i]).collect();
            for (below, above) in (0..=4).flat_map(|b| (0..=4).map(move |a| (b, a))) {
                let error = (0..below).fold(root(host), |e, i| e.context(format!("below {i}")));
                let error = markers.iter().fold(error, |e, m| marked(Some(e), m));
                let result = Err((0..above).fold(error, |e, i| e.context(format!("above {i}"))));
                for policy in policies() {
                    check(&result, policy, table_err(host, &markers, policy));
                }
            }
        }
    }
}

#[test]
fn a_marker_as_root_counts_as_one_in_context() {
    for (marker, depth) in MARKERS.iter().flat_map(|m| (0..=4).map(move |d| (*m, d))) {
        let result = Err((0..depth).fold(marked(None, marker), |e, i| e.context(format!("{i}"))));
        for policy in policies() {
            check(&result, policy, table_err(None, &[marker], policy));
        }
    }
}

#[test]
fn a_host_class_as_context_counts_as_one_in_the_chain() {
    let error = anyhow!("root").context(ResourceContention::new("busy")).context("above");
    check(&Err(error), Policy::default(), 'S');
}

fn outcomes() -> impl Strategy<Value = Vec<char>> {
    prop::collection::vec(prop::sample::select(vec!['P', 'S', 'I', 'F']), 0..6)
}

proptest! {
    #[test]
    fn merging_is_associative_and_folds_like_its_parts(a in outcomes(), b in outcomes(), c in outcomes()) {
        let left = result_of(&a).merged(result_of(&b)).merged(result_of(&c));
        let right = result_of(&a).merged(result_of(&b).merged(result_of(&c)));
        prop_assert_eq!(&left, &right);
        // An empty part has no say in a merge, though alone it is a pass.
        let parts: Vec<char> = [&a, &b, &c].iter().filter(|p| !p.is_empty()).map(|p| {
            result_of(p).fold().to_string().chars().next().unwrap()
        }).collect();
        prop_assert_eq!(left.fold(), result_of(&parts).fold());
    }

    #[test]
    fn any_result_and_any_error_agree_with_the_table(
        list in outcomes(),
        host in prop::option::of(prop::sample::select(HOSTS.to_vec())),
        layers in prop::collection::vec(prop::option::of(prop::sample::select(MARKERS.to_vec())), 0..8),
        bits in 0u8..8,
    ) {
        let policy = policy_of(bits);
        check(&Ok(result_of(&list)), policy, table_ok(&list, policy));
        let error = layers.iter().fold(root(host), |e, layer| match layer {
            Some(m) => marked(Some(e), m),
            None => e.context("plain"),
        });
        let markers: Vec<&str> = layers.iter().flatten().copied().collect();
        check(&Err(error), policy, table_err(host, &markers, policy));
    }
}

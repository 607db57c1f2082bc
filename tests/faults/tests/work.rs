//! Every work type on a real machine: a stock kernel, and a published scheduler.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Run, run_with};

/// Types that the fixture knows: one more that is not run there is a type without a test on a machine.
const TYPES: usize = 45;

fn every_type_makes_progress(run: &Run) {
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    let record = &run.records[0];
    assert!(record.passed && record.cgroups.len() == TYPES, "{} types", record.cgroups.len());
    for cgroup in &record.cgroups {
        assert!(cgroup.iterations > 0, "{cgroup:?}");
    }
}

#[test]
fn every_work_type_makes_progress_under_eevdf() {
    every_type_makes_progress(&run_with("every_work_type", |_| {}));
}

#[test]
fn every_work_type_makes_progress_under_bpfland() {
    every_type_makes_progress(&run_with("every_work_type_under_bpfland", |_| {}));
}

//! Machines off the beaten track, seen from inside, on whatever accelerator runs the tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Run, fails_with, on_kvm, on_shape};

fn passes(shape: &str, spoil: Option<&str>) -> Run {
    let run = on_shape("says_hello", shape, spoil);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.records[0].passed && run.records[0].topology_read_back.is_some());
    run
}

#[test]
fn a_machine_with_a_hole_among_its_cpus_is_seen_with_it() {
    let run = passes("odd-offline-hole", None);
    let seen = run.records[0].topology_read_back.as_ref().unwrap();
    let offline: Vec<u32> = seen.cpus.iter().filter(|c| !c.online).map(|c| c.cpu).collect();
    assert_eq!(offline, [3]);
}

#[test]
fn a_machine_without_an_l3_is_seen_without_it() {
    let run = passes("odd-no-l3", None);
    let seen = run.records[0].topology_read_back.as_ref().unwrap();
    assert!(seen.cpus.iter().all(|c| c.llc_level == 2 && c.llc_cpus.len() == 2), "{seen:?}");
}

#[test]
fn an_l3_that_nobody_asked_for_is_never_a_pass() {
    let run = on_shape("says_hello", "odd-no-l3", Some("topology:1n4l1c2t"));
    fails_with(&run, "level of the last-level cache is 3, asked for 2");
}

#[test]
fn apic_ids_past_255_are_all_there_on_kvm() {
    if !on_kvm() {
        // QEMU's translator has no x2APIC (7.2); it must say so, not build another machine.
        let run = on_shape("says_hello", "odd-x2apic", None);
        assert_ne!(run.output.status.code(), Some(0), "{}", run.stderr());
        assert!(run.stderr().contains("APIC id") && !run.records[0].passed, "{}", run.stderr());
        return;
    }
    let run = passes("odd-x2apic-sparse", None);
    assert_eq!(run.records[0].topology_read_back.as_ref().unwrap().cpus.len(), 25);
}

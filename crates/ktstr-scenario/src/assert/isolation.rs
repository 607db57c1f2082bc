//! Workers run on their cpuset only.

use super::findings::{Check, Findings};
use super::group::Group;
use super::limits::Assert;
use ktstr_verdict::CheckKind;

pub(super) fn check(group: &Group<'_>, assert: &Assert, findings: &mut Findings) {
    if assert.isolation != Some(true) {
        return;
    }
    let check = Check { name: "isolation", kind: CheckKind::Isolation };
    if group.cpus.is_empty() {
        return findings.held(check, "no cpuset, so every CPU is allowed");
    }
    let mut offenders = Vec::new();
    for (i, worker) in group.seen.iter().enumerate() {
        let outside: Vec<u32> = worker.cpus.iter().copied().filter(|c| !group.cpus.contains(c)).collect();
        if !outside.is_empty() {
            offenders.push(format!("worker {i}: seen on CPUs {outside:?} outside its cpuset {:?}", group.cpus));
        }
    }
    if offenders.is_empty() && group.seen.iter().all(|w| w.cpus.is_empty()) {
        return findings.unknown(check, "no worker was seen on any CPU");
    }
    findings.judge(check, &offenders, &format!("all workers stayed on {:?}", group.cpus));
}

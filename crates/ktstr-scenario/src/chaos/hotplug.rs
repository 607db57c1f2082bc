//! CPUs that a perturbation takes away for a while. One that somebody can do without is taken, no other: a task whose last CPU
//! goes is moved by the kernel to where its test forbids it, and that would be the perturbation's failure.

use crate::children;
use crate::step::switch;
use anyhow::{Context as _, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Whether the test takes CPUs away itself; held while a perturbation has one.
static THE_TEST_S: Mutex<bool> = Mutex::new(false);
/// Where cgroup2 is mounted in a guest.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The test takes CPUs down itself: what a perturbation took is back, and it takes none from here on.
pub fn belongs_to_the_test() {
    *THE_TEST_S.lock().unwrap_or_else(PoisonError::into_inner) = true;
}

/// Takes a CPU away for as long as `wait` lasts.
///
/// # Errors
/// It did not come back: the machine is no longer the one that was asked for.
pub fn without(cpu: u32, wait: impl FnOnce()) -> Result<()> {
    let the_test_s = THE_TEST_S.lock().unwrap_or_else(PoisonError::into_inner);
    // One that is down already, or that the kernel keeps, is left as it is.
    if *the_test_s || is_needed(cpu) || switch(cpu, false).is_err() {
        return Ok(());
    }
    wait();
    switch(cpu, true).context("a CPU that a perturbation took did not come back")
}

/// Whether it is the only one that some process of the test, or some cpuset, has.
fn is_needed(cpu: u32) -> bool {
    let mut only = CpuSet::new();
    only.set(cpu as usize);
    let needs = |pid| Pid::from_raw(pid).is_some_and(|pid| sched_getaffinity(Some(pid)).is_ok_and(|set| set == only));
    children::threads().into_iter().any(needs) || has_it_alone(Path::new(CGROUPS), &cpu.to_string())
}

/// Whether a cgroup here or below may use that CPU and no other.
fn has_it_alone(dir: &Path, cpu: &str) -> bool {
    let effective = std::fs::read_to_string(dir.join("cpuset.cpus.effective"));
    effective.is_ok_and(|cpus| cpus.trim() == cpu)
        || std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.file_type().is_ok_and(|t| t.is_dir()) && has_it_alone(&entry.path(), cpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_a_cgroup_has_alone_is_found_at_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(dir.path().join("cpuset.cpus.effective"), "0-3\n").unwrap();
        std::fs::write(below.join("cpuset.cpus.effective"), "2\n").unwrap();
        assert!(has_it_alone(dir.path(), "2") && !has_it_alone(dir.path(), "3"));
    }
}

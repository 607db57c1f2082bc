//! Running one crew until it has done what its test waits for.

use super::WorkType;
use crate::worker::{Crew, Manner, Seen};
use std::time::{Duration, Instant};

/// What a loaded machine may take for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts, looks until `done` says so and each worker has made progress, and stops.
pub fn until(work: &WorkType, count: u32, manner: &Manner, mut done: impl FnMut(&[Seen], &Crew) -> bool) -> Vec<Seen> {
    let crew = Crew::gather(work, count, manner, None).unwrap_or_else(|e| panic!("{e:#}"));
    watch(crew, &mut done)
}

/// The same with a crew that is there.
pub fn watch(crew: Crew, done: &mut dyn FnMut(&[Seen], &Crew) -> bool) -> Vec<Seen> {
    crew.start();
    let start = Instant::now();
    loop {
        let seen = crew.look();
        if done(&seen, &crew) && seen.iter().all(|w| w.iterations > 0) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "it never came: {seen:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    crew.stop().unwrap_or_else(|e| panic!("{e:#}"))
}

/// The usual: a crew as it is by default, until its counters say so.
pub fn run(work: &WorkType, count: u32, mut done: impl FnMut(&[Seen]) -> bool) -> Vec<Seen> {
    until(work, count, &Manner::default(), |seen, _| done(seen))
}

/// What is refused before anything starts, in words.
pub fn refused(work: &WorkType, count: u32) -> String {
    format!("{:#}", Crew::gather(work, count, &Manner::default(), None).err().expect("it was not refused"))
}

/// The CPU that a process is pinned to, when it is one.
pub fn pinned(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t"))?.parse().ok()
}

/// Whether a process is no more; a zombie only waits for whoever is the parent of orphans here.
pub fn gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

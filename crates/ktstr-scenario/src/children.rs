//! Processes somebody here waits for: PID 1 reaps all others.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

static WAITED_FOR: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Says that somebody waits for this process.
pub fn claim(pid: i32) {
    WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
}

/// Says that it has been waited for.
pub fn release(pid: i32) {
    WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
}

/// One of them, whichever number is drawn; they are counted by their pids.
pub(crate) fn drawn(pick: u32) -> Option<i32> {
    let all = WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner);
    let count = u32::try_from(all.len()).ok().filter(|count| *count > 0)?;
    all.iter().nth((pick % count) as usize).copied()
}

/// The threads of all of them.
pub(crate) fn threads() -> Vec<i32> {
    let all = WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let of = |pid: i32| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    all.into_iter().flat_map(of).filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// Whether somebody waits for it.
#[must_use]
pub fn is_claimed(pid: i32) -> bool {
    WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid)
}

//! `cargo ktstr locks`: who holds which host CPU.

use crate::paths::lock_dir;
use anyhow::{Context as _, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

/// Reservations of host CPUs and caches.
#[derive(clap::Args, Debug)]
pub struct Locks {
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Shows them.
pub fn run(locks: &Locks) -> Result<ExitCode> {
    let dir = lock_dir();
    // Only looked at: taking a lock to see whether it is free would make another run find it taken.
    let table = std::fs::read_to_string("/proc/locks").context("who holds a lock is not known here: /proc/locks")?;
    let holders = holders(&table);
    let files = files(&dir)?;
    let mut held = 0;
    for (name, inode) in &files {
        let by = holders.get(inode).cloned().unwrap_or_default();
        held += usize::from(!by.is_empty());
        if locks.json {
            println!("{}", json!({"lock": name, "held_by": by}));
        } else if !by.is_empty() {
            let by: Vec<String> = by.iter().map(|pid| described(*pid)).collect();
            println!("{name:<16} {}", by.join(", "));
        }
    }
    if !locks.json && held == 0 {
        println!("no host CPU is reserved ({} lock files in {})", files.len(), dir.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn described(pid: u32) -> String {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{} (pid {pid})", name.trim_end()),
        Err(_) => format!("pid {pid}"),
    }
}

/// Name and inode of each lock file; no directory is none.
fn files(dir: &Path) -> Result<Vec<(String, u64)>> {
    let listing = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("failed to list {}", dir.display()))?,
    };
    let mut files: Vec<(String, u64)> = listing
        .flatten()
        .filter_map(|e| Some((e.file_name().to_string_lossy().into_owned(), e.metadata().ok()?.ino())))
        .filter(|(name, _)| name.ends_with(".lock"))
        .collect();
    // cpu2 before cpu10.
    files.sort_by_key(|(name, _)| (name.len(), name.clone()));
    Ok(files)
}

/// Processes that hold a flock, by inode (proc_locks(5): `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF`; a waiter
/// has `->` after the number).
fn holders(table: &str) -> BTreeMap<u64, Vec<u32>> {
    let mut all: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if let [_, "FLOCK", _, _, pid, file, ..] = fields[..]
            && let (Ok(pid), Some(Ok(inode))) = (pid.parse(), file.rsplit(':').next().map(str::parse))
        {
            all.entry(inode).or_default().push(pid);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FlockOperation, flock};

    #[test]
    fn holders_are_read_and_waiters_are_not() {
        let table = "1: FLOCK  ADVISORY  WRITE 42 08:01:777 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 43 08:01:777 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 44 08:01:778 0 EOF\n";
        assert_eq!(holders(table), BTreeMap::from([(777, vec![42])]));
    }

    #[test]
    fn a_lock_that_is_held_is_seen_without_being_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(dir.path().join("cpu0.lock")).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        let files = files(dir.path()).unwrap();
        let table = std::fs::read_to_string("/proc/locks").unwrap();
        assert_eq!(holders(&table)[&files[0].1], [std::process::id()]);
    }
}

//! `cargo ktstr cleanup`: what crashed runs left behind.

use crate::paths::{host_cgroup, lock_dir};
use anyhow::{Context as _, Result};
use ktstr_kernel::cache::Cache;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// What crashed runs left behind.
#[derive(clap::Args, Debug)]
pub struct Cleanup {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Hours that a temporary directory of the cache must have been left alone
    #[arg(long, default_value_t = 24, value_name = "HOURS")]
    older_than: u32,
}

/// Starts of the names that the harness gives its temporary directories.
const TEMPORARY: [&str; 3] = [".fetch-", ".build-", ".tmp"];

/// Removes it and says what it was.
pub fn run(cleanup: &Cleanup) -> Result<ExitCode> {
    let verb = if cleanup.dry_run { "would remove" } else { "removed" };
    let mut done = 0;
    for cgroup in leftover_cgroups(&host_cgroup()) {
        if !cleanup.dry_run {
            // Not recursive: a cgroup directory goes by rmdir alone, and only when it is empty (cgroups(7)).
            fs::remove_dir(&cgroup).with_context(|| format!("failed to remove cgroup {}", cgroup.display()))?;
        }
        println!("{verb} cgroup {}", cgroup.display());
        done += 1;
    }
    let age = Duration::from_secs(u64::from(cleanup.older_than) * 3600);
    for dir in dead_directories(Cache::open()?.dir(), age) {
        if !cleanup.dry_run {
            fs::remove_dir_all(&dir).with_context(|| format!("failed to remove {}", dir.display()))?;
        }
        println!("{verb} {}", dir.display());
        done += 1;
    }
    if done == 0 {
        println!("nothing is left over");
    }
    println!(
        "locks in {} end with their holders and are never stale;\n`cargo ktstr locks` shows them",
        lock_dir().display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Cgroups below `parent` and itself that hold no process, innermost first.
fn leftover_cgroups(parent: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let below = fs::read_dir(parent).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir());
    for child in below {
        found.extend(leftover_cgroups(&child));
    }
    // Of this cgroup and all below it (kernel: Documentation/admin-guide/cgroup-v2.rst).
    let events = fs::read_to_string(parent.join("cgroup.events")).unwrap_or_default();
    if events.lines().any(|line| line == "populated 0") {
        found.push(parent.to_owned());
    }
    found
}

/// Temporary directories of the cache that nobody has changed for `age`.
fn dead_directories(cache: &Path, age: Duration) -> Vec<PathBuf> {
    let places = ["", "kernels", "modules", "schedulers"].map(|place| cache.join(place));
    let all = places.iter().filter_map(|p| fs::read_dir(p).ok()).flatten().flatten();
    all.filter(|e| {
        let name = e.file_name().to_string_lossy().into_owned();
        let ours =
            TEMPORARY.iter().any(|start| name.starts_with(start)) || name.starts_with('.') && name.contains(".tmp-");
        ours && e.path().is_dir() && left_alone(&e.path()).is_some_and(|since| since >= age)
    })
    .map(|e| e.path())
    .collect()
}

/// Time since anything in a directory changed; `None` when that is not known.
fn left_alone(dir: &Path) -> Option<Duration> {
    let mut newest = fs::metadata(dir).ok()?.modified().ok()?;
    for entry in fs::read_dir(dir).ok()?.flatten() {
        newest = newest.max(entry.metadata().ok()?.modified().ok()?);
    }
    SystemTime::now().duration_since(newest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_empty_cgroups_are_left_over_innermost_first() {
        let root = tempfile::tempdir().unwrap();
        let cgroup = |name: &str, populated: u8| {
            let dir = root.path().join(name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("cgroup.events"), format!("populated {populated}\nfrozen 0\n")).unwrap();
            dir
        };
        let (empty, inner, busy) = (cgroup("a", 0), cgroup("a/b", 0), cgroup("c", 1));
        assert_eq!(leftover_cgroups(root.path()), [inner, empty]);
        assert!(leftover_cgroups(&busy).is_empty());
    }

    #[test]
    fn a_directory_in_use_and_a_lock_file_stay() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(cache.path().join("kernels/.6.18.tmp-x")).unwrap();
        fs::create_dir_all(cache.path().join("kernels/6.18")).unwrap();
        fs::write(cache.path().join("kernels/.6.18.lock"), "").unwrap();
        assert!(dead_directories(cache.path(), Duration::from_secs(60)).is_empty());
        assert_eq!(dead_directories(cache.path(), Duration::ZERO), [cache.path().join("kernels/.6.18.tmp-x")]);
    }
}

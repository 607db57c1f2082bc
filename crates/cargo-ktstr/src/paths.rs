//! Where the harness keeps things on this host.

use std::path::PathBuf;

fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// Lock files of host CPUs.
pub fn lock_dir() -> PathBuf {
    set("KTSTR_LOCK_DIR").unwrap_or_else(|| std::env::temp_dir().join("ktstr-locks"))
}

/// Cgroup that host_only tests work below.
pub fn host_cgroup() -> PathBuf {
    set("KTSTR_HOST_CGROUP_PARENT").unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup/ktstr"))
}

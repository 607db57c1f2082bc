//! Tests that run on the host itself: same function, no machine.

use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use anyhow::Context as _;
use ktstr_scenario::{Assert, Ctx, CtxParams};
use ktstr_topology::Topology;
use ktstr_verdict::{AssertResult, HarnessFault};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where host_only cgroups live unless `KTSTR_HOST_CGROUP_PARENT` says otherwise.
pub const DEFAULT_CGROUP_PARENT: &str = "/sys/fs/cgroup/ktstr";

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Calls the function with the host's own topology.
///
/// # Errors
/// What the function returns, or a [`HarnessFault`] for a cgroup parent outside /sys/fs/cgroup.
pub fn run(entry: &KtstrTestEntry, settings: &Settings) -> anyhow::Result<AssertResult> {
    let unsupported = entry.unsupported();
    if !unsupported.is_empty() {
        return Err(fault(format!("not supported yet: {}", unsupported.join(", "))));
    }
    crate::programs::files(entry)?;
    let parent = cgroup_parent(settings)?;
    let host = ktstr_vmm::host::HostTopology::detect();
    let topology = host
        .as_topology()
        .or_else(|| Topology::new(1, 1, host.cpus.max(1), 1).ok())
        .context("the host's topology could not be read from sysfs")?;
    let ctx = Ctx::new(CtxParams {
        topology,
        duration: Duration::from_secs(entry.duration_s),
        assert: Assert::library_defaults().merge(entry.scheduler.assert).merge(entry.assert),
        cgroup_root: parent,
        cgroup_walk_root: settings.cgroup_walk_root.clone(),
        host_only: true,
        scheduler_name: "host".to_owned(),
        control: Arc::default(),
    });
    let result = entry.body().run(&ctx)?;
    Ok(result.merged(ctx.take_outcomes()))
}

fn cgroup_parent(settings: &Settings) -> anyhow::Result<PathBuf> {
    let parent = settings.host_cgroup_parent.clone().unwrap_or_else(|| DEFAULT_CGROUP_PARENT.into());
    check_parent(&parent, settings.cgroup_walk_root.as_deref()).map_err(fault)?;
    Ok(parent)
}

fn check_parent(parent: &Path, walk_root: Option<&Path>) -> Result<(), String> {
    let plain = parent.components().all(|c| !matches!(c, std::path::Component::ParentDir));
    let below = plain && parent.starts_with(CGROUP_ROOT) && parent != Path::new(CGROUP_ROOT);
    if !below {
        return Err(format!("KTSTR_HOST_CGROUP_PARENT={} must be strictly below {CGROUP_ROOT}", parent.display()));
    }
    match walk_root {
        Some(root) if !parent.starts_with(root) => Err(format!(
            "KTSTR_CGROUP_WALK_ROOT={} must be a prefix of the cgroup parent {}",
            root.display(),
            parent.display()
        )),
        _ => Ok(()),
    }
}

fn fault(message: String) -> anyhow::Error {
    anyhow::Error::new(HarnessFault::new(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_parent_outside_the_tree_is_refused() {
        for bad in ["/sys/fs/cgroup", "/tmp/x", "/sys/fs/cgroup/../x", "ktstr"] {
            assert!(check_parent(Path::new(bad), None).is_err(), "{bad}");
        }
        assert!(check_parent(Path::new(DEFAULT_CGROUP_PARENT), None).is_ok());
    }

    #[test]
    fn the_walk_root_must_be_a_prefix_of_the_parent() {
        let parent = Path::new("/sys/fs/cgroup/user.slice/ktstr");
        assert!(check_parent(parent, Some(Path::new("/sys/fs/cgroup/user.slice"))).is_ok());
        assert!(check_parent(parent, Some(Path::new("/sys/fs/cgroup/system.slice"))).is_err());
    }
}

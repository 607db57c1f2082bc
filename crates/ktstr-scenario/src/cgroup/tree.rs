//! Directories of the cgroup v2 tree that go away when their owner does (kernel: Documentation/admin-guide/cgroup-v2.rst).

use super::def::CgroupDef;
use crate::cpuset::as_list;
use crate::ctx::Ctx;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Controllers the workloads' limits are made of.
const CONTROLLERS: [&str; 3] = ["cpuset", "cpu", "memory"];
/// Period of `cpu.max` in µs, the kernel's default.
const PERIOD_US: u32 = 100_000;
/// How long the kernel may take to empty a killed cgroup.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// The cgroup that a workload lives below; removed on drop when this made it.
pub struct Root {
    path: PathBuf,
    created: bool,
}

impl Root {
    /// Makes the root and passes the controllers down to it.
    pub fn open(ctx: &Ctx) -> Result<Self> {
        let path = ctx.cgroup_root().to_owned();
        let created = !path.exists();
        fs::create_dir_all(&path).with_context(|| {
            format!(
                "failed to create the cgroup {}: is cgroup2 mounted, and may this user write there?",
                path.display()
            )
        })?;
        let root = Self { path, created };
        for dir in passes_down(ctx.cgroup_walk_root(), &root.path) {
            for controller in CONTROLLERS {
                enable(&dir, controller);
            }
        }
        Ok(root)
    }

    /// Makes a cgroup below the root and sets its limits.
    pub fn group(&self, def: &CgroupDef, cpus: Option<&[u32]>) -> Result<Group> {
        let path = self.path.join(&def.name);
        fs::create_dir(&path).with_context(|| format!("failed to create the cgroup {}", path.display()))?;
        let group = Group { path };
        if let Some(cpus) = cpus {
            group.set("cpuset.cpus", &as_list(cpus))?;
        }
        if let Some(weight) = def.cpu_weight {
            group.set("cpu.weight", &weight.to_string())?;
        }
        if let Some(percent) = def.cpu_quota_pct {
            let quota = u64::from(PERIOD_US) * u64::from(percent) / 100;
            group.set("cpu.max", &format!("{quota} {PERIOD_US}"))?;
        }
        if let Some(mib) = def.memory_max_mib {
            group.set("memory.max", &(mib << 20).to_string())?;
        }
        Ok(group)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if self.created {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Every directory from the walk's root down to the workload's own.
fn passes_down(walk_root: &Path, root: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        root.ancestors().take_while(|dir| dir.starts_with(walk_root)).map(Path::to_owned).collect();
    dirs.reverse();
    dirs
}

/// What cannot be enabled here is found out, with its errno, by the limit that needs it.
fn enable(dir: &Path, controller: &str) {
    let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
}

/// One cgroup; dropping it kills what is in it and removes it.
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn set(&self, file: &str, value: &str) -> Result<()> {
        fs::write(self.path.join(file), value).with_context(|| {
            format!(
                "failed to write `{value}` to {}/{file}: the controller is missing here, or not passed down to it",
                self.path.display()
            )
        })
    }

    /// Moves a process into it.
    pub fn adopt(&self, pid: i32) -> Result<()> {
        self.set("cgroup.procs", &pid.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        let start = Instant::now();
        while let Err(e) = fs::remove_dir(&self.path) {
            if e.kind() == std::io::ErrorKind::NotFound || start.elapsed() > EMPTY_WITHIN {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
impl Group {
    /// One that is there.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }
}

//! Directories of the cgroup v2 tree that go away when their owner does (kernel: Documentation/admin-guide/cgroup-v2.rst).

use super::asked::Asked;
use super::janitor::Janitor;
use crate::ctx::Ctx;
use anyhow::{Context as _, Result, bail};
use ktstr_topology::{cpu_list, parse_cpu_list};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Controllers that every workload has.
const CONTROLLERS: [&str; 3] = ["cpuset", "cpu", "memory"];
/// How long the kernel may take to empty a killed cgroup.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);
/// How long the tasks of a cgroup may take to reach the freezer: each must run once, which a bad scheduler may deny.
const FREEZE_WITHIN: Duration = Duration::from_secs(10);
/// Marks a directory as made by this harness, so that its last user removes it.
const MARK: &str = "user.ktstr";
/// Attempts at making a directory whose parent another test removes at the same time.
const TRIES: u32 = 100;

/// The cgroup that a workload lives below; removed on drop when this harness made it.
pub struct Root {
    walk_root: PathBuf,
    path: PathBuf,
    controllers: BTreeSet<&'static str>,
    // Dropped before the directories: from there on this process removes them.
    janitor: Option<Janitor>,
}

impl Root {
    /// Makes the root and passes the controllers down to it; on the host it is the run's own, below the shared one.
    pub fn open(ctx: &Ctx, more: impl IntoIterator<Item = &'static str>) -> Result<Self> {
        let walk_root = ctx.cgroup_walk_root().to_owned();
        let mut path = ctx.cgroup_root().to_owned();
        if ctx.is_host_only() {
            path.push(format!("run-{}", std::process::id()));
        }
        let mut root =
            Self { walk_root, path, controllers: CONTROLLERS.into_iter().chain(more).collect(), janitor: None };
        make_all(&root.path, &root.walk_root).with_context(|| {
            format!(
                "failed to create the cgroup {}: is cgroup2 mounted, and may this user write there?",
                root.path.display()
            )
        })?;
        if ctx.is_host_only() {
            root.janitor = Some(Janitor::watch(&root.path, root.marked().get(1..).unwrap_or(&[]))?);
        }
        for dir in passes_down(&root.walk_root, &root.path) {
            root.enable(&dir);
        }
        Ok(root)
    }

    /// CPUs that the kernel grants it; `None` where no cpuset controller is passed down to it.
    pub fn effective_cpus(&self) -> Option<Vec<u32>> {
        parse_cpu_list(&fs::read_to_string(self.path.join("cpuset.cpus.effective")).ok()?)
    }

    /// Makes a cgroup below the root and sets its limits.
    pub fn group(&self, asked: &Asked) -> Result<Group> {
        let path = self.path.join(&asked.name);
        if let Some(parent) = path.parent().filter(|parent| *parent != self.path) {
            self.enable(parent);
        }
        fs::create_dir(&path).with_context(|| format!("failed to create the cgroup {}", path.display()))?;
        let group = Group { path };
        if let Some(cpus) = &asked.cpus {
            group.set_cpus(cpus)?;
        }
        for (file, value) in &asked.files {
            group.set(file, value)?;
        }
        Ok(group)
    }

    /// Itself and the directories above it that this harness made, inner ones first.
    fn marked(&self) -> Vec<PathBuf> {
        let above = self.path.ancestors().take_while(|dir| dir.starts_with(&self.walk_root));
        let is_marked = |dir: &&Path| rustix::fs::getxattr(*dir, MARK, &mut [0u8; 1]).is_ok();
        above.take_while(is_marked).map(Path::to_owned).collect()
    }

    /// What cannot be enabled here is found out, with its errno, by the limit that needs it.
    fn enable(&self, dir: &Path) {
        for controller in &self.controllers {
            let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.janitor = None;
        // Of the first that somebody else still uses, all above are in use as well.
        let _ = self.marked().iter().try_for_each(fs::remove_dir);
    }
}

/// Every directory from the walk's root down to the workload's own.
fn passes_down(walk_root: &Path, root: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        root.ancestors().take_while(|dir| dir.starts_with(walk_root)).map(Path::to_owned).collect();
    dirs.reverse();
    dirs
}

/// Makes and marks what is missing; another test may remove an empty parent between two looks.
fn make_all(path: &Path, walk_root: &Path) -> std::io::Result<()> {
    let mut tries = 0;
    loop {
        let result = passes_down(walk_root, path).iter().try_for_each(|dir| match fs::create_dir(dir) {
            Ok(()) => Ok(rustix::fs::setxattr(dir, MARK, b"1", rustix::fs::XattrFlags::empty())?),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
        });
        match result {
            Err(e) if e.kind() == ErrorKind::NotFound && walk_root.exists() && tries < TRIES => tries += 1,
            other => return other,
        }
    }
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

    /// Sets its cpuset.
    pub fn set_cpus(&self, cpus: &[u32]) -> Result<()> {
        self.set("cpuset.cpus", &cpu_list(cpus))
    }

    /// CPUs that the kernel grants it; `None` where no cpuset controller is passed down to it.
    pub fn effective_cpus(&self) -> Option<Vec<u32>> {
        parse_cpu_list(&fs::read_to_string(self.path.join("cpuset.cpus.effective")).ok()?)
    }

    /// Moves a process into it.
    pub fn adopt(&self, pid: i32) -> Result<()> {
        self.set("cgroup.procs", &pid.to_string())
    }

    /// Moves everything of another into it; what ends on the way needs no move.
    pub fn adopt_all(&self, from: &Self) -> Result<()> {
        let file = from.path.join("cgroup.procs");
        for _ in 0..TRIES {
            let pids = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
            if pids.is_empty() {
                return Ok(());
            }
            for pid in pids.lines() {
                match fs::write(self.path.join("cgroup.procs"), pid) {
                    Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved.with_context(|| {
                        format!("failed to move process {pid} from {} to {}", from.path.display(), self.path.display())
                    })?,
                }
            }
        }
        bail!("processes keep appearing in {}: not all could be moved", from.path.display())
    }

    /// Freezes or thaws it, and waits until the kernel says so.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        self.set("cgroup.freeze", if frozen { "1" } else { "0" })?;
        let wanted = if frozen { "frozen 1" } else { "frozen 0" };
        let start = Instant::now();
        loop {
            let events = fs::read_to_string(self.path.join("cgroup.events")).context("failed to read cgroup.events")?;
            if events.lines().any(|line| line == wanted) {
                return Ok(());
            }
            if start.elapsed() > FREEZE_WITHIN {
                bail!(
                    "{} is not `{wanted}` after {} s: a task in it was not run in that time",
                    self.path.display(),
                    FREEZE_WITHIN.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills what is in it and removes it.
    pub fn remove(self) -> Result<()> {
        let removed = self.clear();
        std::mem::forget(self);
        removed
    }

    fn clear(&self) -> Result<()> {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        let start = Instant::now();
        while let Err(e) = fs::remove_dir(&self.path) {
            if e.kind() == ErrorKind::NotFound {
                break;
            }
            if start.elapsed() > EMPTY_WITHIN {
                return Err(e).with_context(|| format!("the cgroup {} could not be removed", self.path.display()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

#[cfg(test)]
impl Group {
    /// One that is there.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }
}

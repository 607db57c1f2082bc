//! Cgroups below the workers' own, for them to move between.

use super::links::Links;
use anyhow::{Context as _, Result};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the kernel may take to let go of a cgroup whose last process has ended.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// Directories that are removed on drop.
pub struct SubGroups {
    dirs: Vec<PathBuf>,
    files: Vec<OwnedFd>,
}

impl SubGroups {
    /// Makes so many, without controllers of their own, and opens their `cgroup.procs` for writing: the kernel asks who has
    /// opened it, not who writes (kernel: `cgroup_procs_write` of kernel/cgroup/cgroup.c), so that a worker needs no privilege.
    pub fn make(group: Option<&Path>, count: u32) -> Result<Links> {
        let group = group.context("it moves between cgroups and has none: declare it in a CgroupDef")?;
        let mut made = Self { dirs: Vec::new(), files: Vec::new() };
        for index in 0..count {
            let dir = group.join(format!("churn-{index}"));
            fs::create_dir(&dir).with_context(|| format!("failed to create the cgroup {}", dir.display()))?;
            made.dirs.push(dir.clone());
            let procs = dir.join("cgroup.procs");
            let file = rustix::fs::open(&procs, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .with_context(|| format!("failed to open {} for writing", procs.display()))?;
            made.files.push(file);
        }
        Ok(Links::of_groups(made))
    }

    pub(super) fn take_files(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.files)
    }
}

impl Drop for SubGroups {
    fn drop(&mut self) {
        let start = Instant::now();
        for dir in &self.dirs {
            let _ = fs::write(dir.join("cgroup.kill"), "1");
            while let Err(e) = fs::remove_dir(dir) {
                if e.kind() == std::io::ErrorKind::NotFound || start.elapsed() > EMPTY_WITHIN {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// A process number in decimal digits, without allocation.
pub struct Digits {
    bytes: [u8; 10],
    from: usize,
}

impl Digits {
    pub fn of(mut number: u32) -> Self {
        let mut digits = Self { bytes: [b'0'; 10], from: 10 };
        for byte in digits.bytes.iter_mut().rev() {
            *byte = b'0' + u8::try_from(number % 10).unwrap_or(0);
            digits.from -= 1;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        digits
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }
}

/// Runs a crew in a cgroup of this host, until `done` names one of its processes and that one has been seen in both of its
/// cgroups; afterwards there is none. Where no cgroup can be made, there is nothing to see.
#[cfg(test)]
pub fn in_a_cgroup(
    work: &super::WorkType,
    count: u32,
    done: impl Fn(&[crate::worker::Seen], &crate::worker::Crew) -> Option<i32>,
) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let Some(root) = root.and_then(|line| line.split(' ').nth(1)) else { return };
    let dir = Path::new(root).join(format!("ktstr-{}-{}", work.name(), std::process::id()));
    if fs::create_dir(&dir).is_err() {
        eprintln!("no cgroup can be made here: {}", dir.display());
        return;
    }
    let group = crate::cgroup::Group::at(dir.clone());
    let manner = crate::worker::Manner::default();
    let crew = crate::worker::Crew::gather(work, count, &manner, Some(&group)).unwrap();
    let mut seen_in = std::collections::BTreeSet::new();
    super::testing::watch(crew, &mut |seen, crew| {
        done(seen, crew).is_some_and(|pid| {
            let path = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            seen_in.extend(path.lines().filter_map(|l| l.rsplit_once("/churn-")).map(|(_, name)| name.to_owned()));
            seen_in.len() == 2
        })
    });
    assert!(!dir.join("churn-0").exists() && !dir.join("churn-1").exists());
    drop(group);
    assert!(!dir.exists());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_the_number(number: u32) {
            let digits = Digits::of(number);
            prop_assert_eq!(std::str::from_utf8(digits.as_bytes()).unwrap(), number.to_string());
        }
    }

    #[test]
    fn without_a_cgroup_there_is_nothing_to_move_between() {
        let text = SubGroups::make(None, 2).err().unwrap().to_string();
        assert!(text.contains("declare it in a CgroupDef"), "{text}");
    }
}

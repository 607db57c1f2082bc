//! What workers reach each other and the kernel through; made before they are forked, gone after they are.

use super::region::Region;
use super::sub_groups::SubGroups;
use anyhow::{Context as _, Result};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Files, memory and numbers, each in an order of the work type's own.
#[derive(Default)]
pub struct Links {
    files: Vec<OwnedFd>,
    region: Option<Region>,
    numbers: Vec<u32>,
    // Removed when the workers are gone.
    _groups: Option<SubGroups>,
}

impl Links {
    /// Files alone.
    pub fn of_files(files: Vec<OwnedFd>) -> Self {
        Self { files, ..Self::default() }
    }

    /// A pipe for each worker to read from: its reading end, then its writing end.
    pub fn pipes(workers: usize) -> Result<Self> {
        let mut files = Vec::with_capacity(workers * 2);
        for _ in 0..workers {
            let (read, write) =
                rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("no pipe for the workers")?;
            files.extend([read, write]);
        }
        Ok(Self::of_files(files))
    }

    /// Memory that all workers share.
    pub fn of_region(bytes: usize) -> Result<Self> {
        let region = Region::shared(bytes).context("no memory for the workers to share")?;
        Ok(Self { region: Some(region), ..Self::default() })
    }

    /// Numbers alone.
    pub fn of_numbers(numbers: Vec<u32>) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// The `cgroup.procs` of cgroups below the workers' own.
    pub fn of_groups(mut groups: SubGroups) -> Self {
        Self { files: groups.take_files(), _groups: Some(groups), ..Self::default() }
    }

    /// So many files without a name, of so many bytes each, in the directory for temporary files.
    pub fn scratch(files: usize, bytes: usize) -> Result<Self> {
        let dir = std::env::temp_dir();
        let block = vec![0x5a; 1 << 16];
        let make = |_| -> Result<OwnedFd> {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            let file = rustix::fs::open(&dir, flags, Mode::RUSR | Mode::WUSR).with_context(|| {
                format!("no file without a name in {}: set TMPDIR to another directory", dir.display())
            })?;
            let mut left = bytes;
            while left > 0 {
                left -= rustix::io::write(&file, &block[..left.min(block.len())])
                    .with_context(|| format!("failed to fill a file of {bytes} bytes in {}", dir.display()))?;
            }
            Ok(file)
        };
        (0..files).map(make).collect::<Result<_>>().map(Self::of_files)
    }

    pub fn file(&self, index: usize) -> Option<BorrowedFd<'_>> {
        self.files.get(index).map(OwnedFd::as_fd)
    }

    pub fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }
}

//! What workers reach each other through; made before they are forked.

use anyhow::{Context as _, Result};
use std::os::fd::OwnedFd;

/// Pipes between partners, two for each pair; empty for most work.
pub struct Links(Vec<(OwnedFd, OwnedFd)>);

impl Links {
    /// Nothing to share.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// A pipe for each worker to read from.
    pub fn pipes(workers: usize) -> Result<Self> {
        let pipe = |_| rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("no pipe for the workers");
        (0..workers).map(pipe).collect::<Result<_>>().map(Self)
    }

    /// The reading end of this worker's pipe and the writing end of its partner's.
    pub fn ends(&self, index: usize) -> Option<(&OwnedFd, &OwnedFd)> {
        let partner = index ^ 1;
        Some((&self.0.get(index)?.0, &self.0.get(partner)?.1))
    }
}

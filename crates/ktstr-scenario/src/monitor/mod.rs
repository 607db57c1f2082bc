//! Samples of the kernel's own account of the scheduler while workloads run.
//!
//! A thread of normal policy, pinned to one CPU, looks every 100 ms at what is cheap to read; what is not is read only when
//! a check asks for it. What the samples show is judged when the run ends; what could not be read is never a pass.

mod counts;
mod figures;
mod judge;
mod parse;
mod sample;
mod sampler;
mod sources;
mod summary;

pub(crate) use counts::EventBase;
pub use counts::EventCounts;

use crate::assert::Assert;
use crate::ctx::Ctx;
use anyhow::Result;
use ktstr_verdict::{AssertResult, MonitorSnapshot};
use sampler::Sampler;
use sources::{Sources, Wanted};

/// A sampler; started with the workload, finished with it.
#[derive(Debug)]
pub struct Monitor {
    sampler: Sampler,
    sources: Sources,
    assert: Assert,
    snapshots: Vec<MonitorSnapshot>,
}

impl Monitor {
    /// Begins to sample.
    ///
    /// # Errors
    /// No thread could be started, or the scheduler does not run it. A source that a check needs and this kernel lacks makes that check inconclusive.
    pub fn start(ctx: &Ctx) -> Result<Self> {
        let wanted = Wanted::by(ctx.assert(), ctx.is_host_only());
        Ok(Self {
            sampler: Sampler::start(wanted)?,
            // A snapshot is taken by the test's own thread, which leaves the dump and its trace to the sampler's.
            sources: Sources::open(wanted.without_dump()),
            assert: *ctx.assert(),
            snapshots: Vec::new(),
        })
    }

    /// Takes a named snapshot now.
    pub fn snapshot(&mut self, name: &str) {
        let sample = self.sources.sample(self.sampler.elapsed_ns());
        self.snapshots.push(summary::snapshot(name, &sample));
    }

    /// Ends sampling and judges the samples.
    pub fn finish(self) -> AssertResult {
        let (samples, trouble) = self.sampler.finish();
        let mut result = judge::judge(&samples, &self.assert, trouble.as_deref());
        let mut summary = summary::summarize(&samples);
        summary.missing.extend(trouble);
        summary.snapshots = self.snapshots;
        result.monitor.push(summary);
        result
    }
}

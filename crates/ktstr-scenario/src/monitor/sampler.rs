//! The thread that samples.

use super::sample::Sample;
use super::sources::{Sources, Wanted};
use crate::worker::now_ns;
use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Time between two samples.
const EVERY: Duration = Duration::from_millis(100);
/// Nice value of the sampler.
const HIGHEST: i32 = -20;
/// How long the thread may take to answer; a scheduler that does not run it for so long is not waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A running sampler; dropping it ends its thread.
#[derive(Debug)]
pub(super) struct Sampler {
    start_ns: u64,
    stop: Sender<()>,
    samples: Receiver<Sample>,
}

impl Sampler {
    /// Starts the thread and waits until it is ready: what it opens takes a while on a busy machine, and its time is the
    /// workload's.
    pub fn start(wanted: Wanted) -> Result<Self> {
        let (stop, stopped) = channel();
        let (sender, samples) = channel();
        let (ready, begun) = channel();
        std::thread::Builder::new()
            .name("ktstr-monitor".to_owned())
            .spawn(move || run(wanted, &ready, &stopped, &sender))
            .context("no thread for the monitor")?;
        let start_ns = begun.recv_timeout(ANSWER_WITHIN).with_context(|| {
            format!(
                "the monitor's thread was not run within {} s: does the scheduler starve it?",
                ANSWER_WITHIN.as_secs()
            )
        })?;
        Ok(Self { start_ns, stop, samples })
    }

    /// Since the start.
    pub fn elapsed_ns(&self) -> u64 {
        now_ns().saturating_sub(self.start_ns)
    }

    /// Ends it; all samples, and what went wrong with the sampler itself.
    pub fn finish(self) -> (Vec<Sample>, Option<String>) {
        let _ = self.stop.send(());
        let mut samples = Vec::new();
        let deadline = now_ns() + u64::try_from(ANSWER_WITHIN.as_nanos()).unwrap_or(u64::MAX / 2);
        loop {
            match self.samples.recv_timeout(Duration::from_nanos(deadline.saturating_sub(now_ns()))) {
                Ok(sample) => samples.push(sample),
                Err(RecvTimeoutError::Disconnected) => return (samples, None),
                Err(RecvTimeoutError::Timeout) => {
                    let why = format!("the monitor's thread did not run for {} s at the end", ANSWER_WITHIN.as_secs());
                    return (samples, Some(why));
                }
            }
        }
    }
}

/// One sample at the start, one each 100 ms, one at the end.
fn run(wanted: Wanted, ready: &Sender<u64>, stopped: &Receiver<()>, samples: &Sender<Sample>) {
    pin();
    favour();
    // Only now: the dump's buffer belongs to the CPU that this thread runs on.
    let mut sources = Sources::open(wanted);
    let start_ns = now_ns();
    if ready.send(start_ns).is_err() {
        return;
    }
    let every = u64::try_from(EVERY.as_nanos()).unwrap_or(u64::MAX / 2);
    let mut due = start_ns;
    loop {
        if samples.send(sources.sample(now_ns().saturating_sub(start_ns))).is_err() {
            return;
        }
        // What was missed is not made up for: samples in a burst would be no samples.
        let now = now_ns();
        due += every * (now.saturating_sub(due) / every + 1);
        match stopped.recv_timeout(Duration::from_nanos(due.saturating_sub(now))) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) => {
                let _ = samples.send(sources.sample(now_ns().saturating_sub(start_ns)));
                return;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Normal policy, and its highest weight: a sampler that waits like its workload sees little of it.
fn favour() {
    // setpriority(2) takes the number of a thread, and this is the caller's own.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), HIGHEST);
}

/// To the first CPU there is: on x86 it never goes offline. One that must stay elsewhere stays unpinned.
fn pin() {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    if let Some(first) = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)) {
        let mut one = CpuSet::new();
        one.set(first);
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_takes_one_sample_at_each_end_and_leaves_no_thread() {
        let sampler = Sampler::start(Wanted::default()).unwrap();
        let (samples, trouble) = sampler.finish();
        assert!(samples.len() >= 2 && trouble.is_none(), "{samples:?} {trouble:?}");
        assert!(samples.windows(2).all(|w| w[0].at_ns <= w[1].at_ns));
        assert!(samples[0].runnable.is_ok() && samples[0].queues.is_none() && samples[0].local_dsqs.is_none());
    }
}

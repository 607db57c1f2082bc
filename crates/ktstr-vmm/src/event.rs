//! What a running machine says.

use crate::kvm::Sink;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;

/// Bytes that a machine may say in its life on each way out: a thousand times what a long test does. What comes after is
/// dropped, and a stream that lost its end is no proof, so a guest that never stops talking costs its own verdict only.
pub(crate) const MOST_BYTES: u64 = 256 << 20;

/// One piece of output.
pub(crate) enum Event {
    /// Of the channel.
    Channel(Vec<u8>),
    /// Of the console.
    Console(Vec<u8>),
    /// There will be no more; whoever waits should look how it ended.
    Ended,
    /// Of the monitor itself.
    Stderr(Vec<u8>),
}

/// How much of [`MOST_BYTES`] is used up.
#[derive(Debug, Default)]
pub(crate) struct Quota(AtomicU64);

impl Quota {
    /// Whether so many more bytes may be kept; once they may not, none may, so that nothing is missing in the middle.
    pub fn take(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let within = |used: u64| (used <= MOST_BYTES).then(|| used.saturating_add(bytes));
        match self.0.fetch_update(Relaxed, Relaxed, within) {
            Ok(before) => before.saturating_add(bytes) <= MOST_BYTES,
            Err(_) => false,
        }
    }
}

/// Output of a machine in this process.
#[derive(Clone)]
pub(crate) struct EventSink {
    events: Sender<Event>,
    /// [`crate::Spoil::PanicCpu`].
    panics: bool,
    channel: Arc<Quota>,
    console: Arc<Quota>,
}

impl EventSink {
    pub fn new(events: Sender<Event>, panics: bool) -> Self {
        Self { events, panics, channel: Arc::default(), console: Arc::default() }
    }
}

impl Sink for EventSink {
    fn channel(&self, bytes: &[u8]) {
        assert!(!self.panics, "spoiled: the thread of a CPU panics");
        if self.channel.take(bytes.len()) {
            // Nobody listens any more: the run is over.
            let _ = self.events.send(Event::Channel(bytes.to_vec()));
        }
    }

    fn console(&self, bytes: &[u8]) {
        if self.console.take(bytes.len()) {
            let _ = self.events.send(Event::Console(bytes.to_vec()));
        }
    }

    fn ended(&self) {
        let _ = self.events.send(Event::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_is_a_beginning_and_never_too_much(sizes in prop::collection::vec(0u64..MOST_BYTES / 2, 0..12)) {
            let quota = Quota::default();
            let kept: Vec<bool> = sizes.iter().map(|s| quota.take(usize::try_from(*s).unwrap())).collect();
            prop_assert!(kept.is_sorted_by(|a, b| a >= b), "{:?}", kept);
            let total: u64 = sizes.iter().zip(&kept).filter(|(_, k)| **k).map(|(s, _)| s).sum();
            prop_assert!(total <= MOST_BYTES);
        }
    }

    #[test]
    fn a_quota_that_was_exceeded_stays_exceeded() {
        let quota = Quota::default();
        assert!(quota.take(usize::try_from(MOST_BYTES).unwrap()));
        assert!(!quota.take(1) && !quota.take(0));
    }
}

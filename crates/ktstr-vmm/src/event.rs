//! What a running machine says.

use crate::kvm::Sink;
use std::sync::mpsc::Sender;

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

/// Output of a machine in this process.
#[derive(Clone)]
pub(crate) struct EventSink {
    pub events: Sender<Event>,
    /// [`crate::Spoil::PanicCpu`].
    pub panics: bool,
}

impl Sink for EventSink {
    fn channel(&self, bytes: &[u8]) {
        assert!(!self.panics, "spoiled: the thread of a CPU panics");
        // Nobody listens any more: the run is over.
        let _ = self.events.send(Event::Channel(bytes.to_vec()));
    }

    fn console(&self, bytes: &[u8]) {
        let _ = self.events.send(Event::Console(bytes.to_vec()));
    }

    fn ended(&self) {
        let _ = self.events.send(Event::Ended);
    }
}

//! What a running machine says.

use crate::kvm::Sink;
use std::sync::mpsc::Sender;

/// One piece of output.
pub(crate) enum Event {
    /// Of the channel.
    Channel(Vec<u8>),
    /// Of the console.
    Console(Vec<u8>),
    /// Of the monitor itself.
    Stderr(Vec<u8>),
}

/// Output of a machine in this process.
#[derive(Clone)]
pub(crate) struct EventSink(pub Sender<Event>);

impl Sink for EventSink {
    fn channel(&self, bytes: &[u8]) {
        // Nobody listens any more: the run is over.
        let _ = self.0.send(Event::Channel(bytes.to_vec()));
    }

    fn console(&self, bytes: &[u8]) {
        let _ = self.0.send(Event::Console(bytes.to_vec()));
    }
}

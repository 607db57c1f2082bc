//! The guest's end of the channel.

use crate::port;
use ktstr_wire::{Encoder, Message, Nonce};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sends frames; shared by the test and the threads beside it.
pub struct Link {
    inner: Mutex<Inner>,
}

struct Inner {
    encoder: Encoder,
    closed: bool,
}

impl Link {
    /// Starts the stream of this attempt through the open port.
    pub fn new(nonce: Nonce) -> Self {
        crate::crash::arm(nonce);
        Self { inner: Mutex::new(Inner { encoder: Encoder::new(nonce), closed: false }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one message; what cannot be sent is left to the host to miss.
    pub fn send(&self, message: &Message) {
        let mut inner = self.lock();
        if inner.closed {
            return;
        }
        match inner.encoder.encode(message) {
            Ok(frame) => inner.write(&frame),
            Err(e) => eprintln!("ktstr: {e}"),
        }
    }

    /// Sends the last frame; nothing is sent after it.
    pub fn bye(&self) {
        let mut inner = self.lock();
        let frame = inner.encoder.bye();
        inner.write(&frame);
        inner.closed = true;
    }
}

impl Inner {
    fn write(&mut self, frame: &[u8]) {
        port::write(frame);
        crate::crash::next_sequence(self.encoder.next_sequence());
    }
}

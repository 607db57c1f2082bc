//! Everything one attempt said, with the host's time of arrival.

use crate::decode::{Decoder, StreamFault};
use crate::message::{Message, Nonce};

/// Messages in order; evidence in any case, proof only when complete.
#[derive(Debug)]
pub struct Transcript {
    decoder: Decoder,
    messages: Vec<(u64, Message)>,
}

impl Transcript {
    /// Of the attempt with this nonce.
    #[must_use]
    pub const fn new(nonce: Nonce) -> Self {
        Self { decoder: Decoder::new(nonce), messages: Vec::new() }
    }

    /// Takes bytes that arrived at `at_us` of the host's clock; the answer is how many messages became whole.
    pub fn feed(&mut self, bytes: &[u8], at_us: u64) -> usize {
        let new = self.decoder.push(bytes);
        let count = new.len();
        self.messages.extend(new.into_iter().map(|m| (at_us, m)));
        count
    }

    /// The messages, each with its time of arrival in µs.
    #[must_use]
    pub fn messages(&self) -> &[(u64, Message)] {
        &self.messages
    }

    /// Why trust ended, if it did.
    #[must_use]
    pub const fn fault(&self) -> Option<&StreamFault> {
        self.decoder.fault()
    }

    /// Whether everything came.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.completeness().is_ok()
    }

    /// Whether everything came, from the first frame to an agreeing bye and nothing after it.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn completeness(&self) -> Result<(), StreamFault> {
        self.decoder.completeness()
    }
}

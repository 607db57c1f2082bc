//! Messages to bytes.

use crate::frame::{HEADER_LEN, MAX_PAYLOAD, TRAILER_LEN, header};
use crate::message::{Bye, Message, Nonce};
use thiserror::Error;

/// A message that cannot travel.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Larger than [`MAX_PAYLOAD`].
    #[error("a message of {0} bytes is larger than a frame may be ({MAX_PAYLOAD}): split it")]
    TooLarge(usize),
    /// Not representable, such as a NaN metric.
    #[error("a message could not be encoded: {0}")]
    Json(#[from] serde_json::Error),
}

/// One attempt's sending side.
#[derive(Debug)]
pub struct Encoder {
    nonce: Nonce,
    frames: u64,
    bytes: u64,
}

impl Encoder {
    /// Starts a stream.
    #[must_use]
    pub const fn new(nonce: Nonce) -> Self {
        Self { nonce, frames: 0, bytes: 0 }
    }

    /// The sequence number of the next frame.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.frames
    }

    /// One message as a frame.
    ///
    /// # Errors
    /// Too large or not representable; the stream goes on as if it had not been tried.
    pub fn encode(&mut self, message: &Message) -> Result<Vec<u8>, EncodeError> {
        let payload = serde_json::to_vec(message)?;
        let len = u32::try_from(payload.len())
            .ok()
            .filter(|_| payload.len() <= MAX_PAYLOAD)
            .ok_or(EncodeError::TooLarge(payload.len()))?;
        let mut out = Vec::with_capacity(HEADER_LEN + payload.len() + TRAILER_LEN);
        out.extend_from_slice(&header(message.kind() as u8, self.frames, self.nonce.0, len));
        out.extend_from_slice(&payload);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        self.frames += 1;
        self.bytes += out.len() as u64;
        Ok(out)
    }

    /// The last frame, which says how much there was.
    #[must_use]
    pub fn bye(&mut self) -> Vec<u8> {
        let bye = Message::Bye(Bye { frames: self.frames, bytes: self.bytes });
        // Two numbers are always representable and small.
        self.encode(&bye).unwrap_or_default()
    }
}

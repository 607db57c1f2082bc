//! Bytes to messages, until the first bad byte.

use crate::frame::{HEADER_LEN, MAGIC, MAX_PAYLOAD, TRAILER_LEN, VERSION, u32_at, u64_at};
use crate::message::{Kind, Message, Nonce};
use thiserror::Error;

/// Why trust in a stream ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StreamFault {
    /// Not a frame.
    #[error("no frame begins at byte {at}")]
    Magic {
        /// Offset in the stream.
        at: u64,
    },
    /// Another layout.
    #[error("frame version {0}, expected {VERSION}: guest and host are of different builds")]
    Version(u8),
    /// A kind this build does not know, or reserved bytes that are not zero.
    #[error("frame of unknown kind {0}")]
    Kind(u8),
    /// Frames lost or repeated.
    #[error("frame {seen} where frame {wanted} was due")]
    Sequence {
        /// The number that was due.
        wanted: u64,
        /// The number that came.
        seen: u64,
    },
    /// A frame of another attempt.
    #[error("frame of another attempt: nonce {seen}, expected {wanted}")]
    Nonce {
        /// This attempt's.
        wanted: Nonce,
        /// The frame's.
        seen: Nonce,
    },
    /// Longer than any frame.
    #[error("frame of {0} bytes, more than the most allowed")]
    Length(u32),
    /// Damaged.
    #[error("checksum of frame {0} does not match")]
    Checksum(u64),
    /// Undamaged and not understood.
    #[error("payload of frame {0} could not be read: {1}")]
    Payload(u64, String),
    /// The count of frames or bytes differs.
    #[error("the bye says {said_frames} frames and {said_bytes} bytes, {frames} and {bytes} came")]
    ByeDisagrees {
        /// Frames the guest sent.
        said_frames: u64,
        /// Bytes the guest sent.
        said_bytes: u64,
        /// Frames that came.
        frames: u64,
        /// Bytes that came.
        bytes: u64,
    },
    /// Something follows the bye.
    #[error("bytes after the bye")]
    AfterBye,
    /// The stream ended inside a frame.
    #[error("the stream ends inside frame {0}")]
    Truncated(u64),
    /// The stream ended without its bye.
    #[error("the stream ends after {0} frames without a bye")]
    NoBye(u64),
}

/// One attempt's receiving side; holds back at most one frame.
#[derive(Debug)]
pub struct Decoder {
    nonce: Nonce,
    pending: Vec<u8>,
    frames: u64,
    bytes: u64,
    done: bool,
    fault: Option<StreamFault>,
}

impl Decoder {
    /// Expects a stream with this nonce.
    #[must_use]
    pub const fn new(nonce: Nonce) -> Self {
        Self { nonce, pending: Vec::new(), frames: 0, bytes: 0, done: false, fault: None }
    }

    /// Takes more bytes; the answer is what became whole. After a fault everything is ignored.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while self.fault.is_none() && !rest.is_empty() {
            if self.done {
                self.fault = Some(StreamFault::AfterBye);
                break;
            }
            // Never hold back more than the frame at hand needs.
            let wanted = match self.frame_len() {
                Ok(wanted) => wanted,
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            };
            let take = wanted.saturating_sub(self.pending.len()).min(rest.len());
            self.pending.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            match self.try_frame() {
                Ok(Some(message)) => out.push(message),
                Ok(None) => {}
                Err(fault) => self.fault = Some(fault),
            }
        }
        out
    }

    /// Bytes of the frame at hand: its header until that is whole, then all of it.
    fn frame_len(&self) -> Result<usize, StreamFault> {
        if self.pending.len() < HEADER_LEN {
            return Ok(HEADER_LEN);
        }
        let len = u32_at(&self.pending, 24);
        match usize::try_from(len) {
            Ok(len) if len <= MAX_PAYLOAD => Ok(HEADER_LEN + len + TRAILER_LEN),
            _ => Err(StreamFault::Length(len)),
        }
    }

    fn try_frame(&mut self) -> Result<Option<Message>, StreamFault> {
        self.check_prefix()?;
        if self.pending.len() < HEADER_LEN {
            return Ok(None);
        }
        let whole = self.frame_len()?;
        if self.pending.len() < whole || whole == HEADER_LEN {
            return Ok(None);
        }
        let body = whole - TRAILER_LEN;
        if crc32c::crc32c(&self.pending[..body]) != u32_at(&self.pending, body) {
            return Err(StreamFault::Checksum(self.frames));
        }
        let kind = Kind::from_byte(self.pending[5]).ok_or(StreamFault::Kind(self.pending[5]))?;
        let message: Message = serde_json::from_slice(&self.pending[HEADER_LEN..body])
            .map_err(|e| StreamFault::Payload(self.frames, e.to_string()))?;
        if message.kind() != kind {
            return Err(StreamFault::Kind(self.pending[5]));
        }
        if let Message::Bye(bye) = &message {
            if bye.frames != self.frames || bye.bytes != self.bytes {
                return Err(StreamFault::ByeDisagrees {
                    said_frames: bye.frames,
                    said_bytes: bye.bytes,
                    frames: self.frames,
                    bytes: self.bytes,
                });
            }
            self.done = true;
        }
        self.frames += 1;
        self.bytes += whole as u64;
        self.pending.clear();
        Ok(Some(message))
    }

    /// What can be said of a header before its frame is whole, so that garbage is known for what it is at once.
    fn check_prefix(&self) -> Result<(), StreamFault> {
        let have = &self.pending;
        let known = have.len().min(MAGIC.len());
        if have[..known] != MAGIC[..known] {
            return Err(StreamFault::Magic { at: self.bytes });
        }
        if have.len() > 4 && have[4] != VERSION {
            return Err(StreamFault::Version(have[4]));
        }
        if have.len() < HEADER_LEN {
            return Ok(());
        }
        if Kind::from_byte(have[5]).is_none() || have[6] != 0 || have[7] != 0 {
            return Err(StreamFault::Kind(have[5]));
        }
        let seen = Nonce(u64_at(have, 16));
        if seen != self.nonce {
            return Err(StreamFault::Nonce { wanted: self.nonce, seen });
        }
        let sequence = u64_at(have, 8);
        if sequence != self.frames {
            return Err(StreamFault::Sequence { wanted: self.frames, seen: sequence });
        }
        Ok(())
    }

    /// Why trust ended, if it did.
    #[must_use]
    pub const fn fault(&self) -> Option<&StreamFault> {
        self.fault.as_ref()
    }

    /// Whether everything came, from the first frame to the bye.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn completeness(&self) -> Result<(), StreamFault> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None if self.done => Ok(()),
            None if !self.pending.is_empty() => Err(StreamFault::Truncated(self.frames)),
            None => Err(StreamFault::NoBye(self.frames)),
        }
    }
}

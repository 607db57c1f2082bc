//! A kept stream, frame by frame.

use ktstr_wire::{Decoder, Message, Nonce};
use std::ops::Range;

/// The frames of a stream up to its first fault, each with its bytes.
pub fn frames(stream: &[u8]) -> Vec<(Range<usize>, Message)> {
    let Some(nonce) = stream.get(16..24).and_then(|bytes| bytes.try_into().ok()) else {
        return Vec::new();
    };
    let mut decoder = Decoder::new(Nonce(u64::from_le_bytes(nonce)));
    let mut found = Vec::new();
    let mut start = 0;
    for (at, byte) in stream.iter().enumerate() {
        for message in decoder.push(&[*byte]) {
            found.push((start..at + 1, message));
            start = at + 1;
        }
    }
    found
}

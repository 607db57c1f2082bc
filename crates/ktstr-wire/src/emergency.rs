//! A panic frame made without the heap, for a guest that has lost it.

use crate::frame::{HEADER_LEN, TRAILER_LEN, header};
use crate::message::Kind;

const BEFORE: &[u8] = br#"{"Panic":{"message":""#;
const AFTER: &[u8] = br#"","location":"signal handler","backtrace":""}}"#;

/// Writes a whole [`Message::Panic`](crate::Message::Panic) frame into `out` and returns its length; 0 when it does not fit.
///
/// Characters that JSON would have to escape become `?`. Safe in a signal handler: no allocation, no lock, no panic.
pub fn encode_panic_noalloc(out: &mut [u8], nonce: u64, sequence: u64, message: &str) -> usize {
    let payload = BEFORE.len() + message.len() + AFTER.len();
    let whole = HEADER_LEN + payload + TRAILER_LEN;
    let Ok(payload_len) = u32::try_from(payload) else {
        return 0;
    };
    if out.len() < whole {
        return 0;
    }
    let head = header(Kind::Panic as u8, sequence, nonce, payload_len);
    let clean =
        message.bytes().map(|b| if b.is_ascii_graphic() && b != b'"' && b != b'\\' || b == b' ' { b } else { b'?' });
    let bytes = head.iter().copied().chain(BEFORE.iter().copied()).chain(clean).chain(AFTER.iter().copied());
    for (slot, byte) in out.iter_mut().zip(bytes) {
        *slot = byte;
    }
    let body = whole - TRAILER_LEN;
    let crc = crc32c::crc32c(&out[..body]).to_le_bytes();
    out[body..whole].copy_from_slice(&crc);
    whole
}

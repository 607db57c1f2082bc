//! Layout of a frame, all numbers little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | magic |
//! | 4 | 1 | version |
//! | 5 | 1 | kind |
//! | 6 | 2 | zero |
//! | 8 | 8 | sequence number, from 0 |
//! | 16 | 8 | nonce of the attempt |
//! | 24 | 4 | length of the payload |
//! | 28 | … | payload |
//! | then | 4 | CRC-32C of everything before |

/// First bytes of each frame.
pub const MAGIC: [u8; 4] = *b"KTsr";
/// Version of this layout.
pub const VERSION: u8 = 1;
/// Bytes before the payload.
pub const HEADER_LEN: usize = 28;
/// Bytes after the payload.
pub const TRAILER_LEN: usize = 4;
/// Largest payload, and so the most a decoder ever holds back.
pub const MAX_PAYLOAD: usize = 4 << 20;

pub(crate) fn header(kind: u8, sequence: u64, nonce: u64, payload_len: u32) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..4].copy_from_slice(&MAGIC);
    out[4] = VERSION;
    out[5] = kind;
    out[8..16].copy_from_slice(&sequence.to_le_bytes());
    out[16..24].copy_from_slice(&nonce.to_le_bytes());
    out[24..28].copy_from_slice(&payload_len.to_le_bytes());
    out
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

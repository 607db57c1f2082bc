//! What a host hands to its guest before the guest has said anything: one sealed piece, all or nothing.
//!
//! | offset | bytes | what | the fault it catches |
//! |---|---|---|---|
//! | 0 | 4 | magic | something else is there, or nothing: zeros, a floating bus |
//! | 4 | 4 | length of the content | the end is missing, or more came than was sent |
//! | 8 | … | content | |
//! | then | 4 | CRC-32C of everything before | any bit changed, pieces that came in another order |
//!
//! A parcel of another attempt is whole, too: its nonce makes every frame of the guest one that the host refuses.

use crate::frame::{MAX_PAYLOAD, TRAILER_LEN, u32_at};
use thiserror::Error;

/// First bytes of a parcel.
const PARCEL_MAGIC: [u8; 4] = *b"KTin";
/// Bytes before the content.
const PARCEL_HEADER: usize = 8;
/// Most bytes of a parcel, seal and content: no receiver ever holds more.
pub const MAX_PARCEL: usize = PARCEL_HEADER + MAX_PAYLOAD + TRAILER_LEN;

/// Why a parcel is not what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParcelFault {
    /// More than [`MAX_PAYLOAD`].
    #[error("a parcel of {0} bytes is larger than it may be ({MAX_PAYLOAD})")]
    TooLarge(usize),
    /// Not even a seal.
    #[error("{0} bytes are not a parcel")]
    Short(usize),
    /// Something else.
    #[error("not a parcel: it begins with {0:02x?}")]
    Magic([u8; 4]),
    /// Cut, or with a tail.
    #[error("a parcel of {said} bytes, and {came} came")]
    Length {
        /// Bytes of content that the header announces.
        said: usize,
        /// Bytes of content that are there.
        came: usize,
    },
    /// Changed on its way.
    #[error("the checksum of a parcel is wrong")]
    Checksum,
}

/// Puts `content` under seal.
///
/// # Errors
/// [`ParcelFault::TooLarge`].
pub fn seal(content: &[u8]) -> Result<Vec<u8>, ParcelFault> {
    let len = u32::try_from(content.len())
        .ok()
        .filter(|_| content.len() <= MAX_PAYLOAD)
        .ok_or(ParcelFault::TooLarge(content.len()))?;
    let mut out = Vec::with_capacity(PARCEL_HEADER + content.len() + TRAILER_LEN);
    out.extend_from_slice(&PARCEL_MAGIC);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    Ok(out)
}

/// The content of a whole and undamaged parcel.
///
/// # Errors
/// Whatever else it is.
pub fn unseal(parcel: &[u8]) -> Result<&[u8], ParcelFault> {
    let Some(came) = parcel.len().checked_sub(PARCEL_HEADER + TRAILER_LEN) else {
        return Err(ParcelFault::Short(parcel.len()));
    };
    let (sealed, checksum) = parcel.split_at(PARCEL_HEADER + came);
    let magic = u32_at(sealed, 0).to_le_bytes();
    if magic != PARCEL_MAGIC {
        return Err(ParcelFault::Magic(magic));
    }
    let said = usize::try_from(u32_at(sealed, 4)).unwrap_or(usize::MAX);
    if said != came {
        return Err(ParcelFault::Length { said, came });
    }
    if crc32c::crc32c(sealed) != u32_at(checksum, 0) {
        return Err(ParcelFault::Checksum);
    }
    Ok(&sealed[PARCEL_HEADER..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_sealed_is_unsealed(content in prop::collection::vec(any::<u8>(), 0..400)) {
            let parcel = seal(&content).unwrap();
            prop_assert_eq!(unseal(&parcel), Ok(&content[..]));
        }

        #[test]
        fn one_bit_or_a_missing_end_or_a_tail_is_seen(
            content in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let parcel = seal(&content).unwrap();
            let mut flipped = parcel.clone();
            flipped[at.index(parcel.len())] ^= 1 << bit;
            prop_assert!(unseal(&flipped).is_err());
            prop_assert!(unseal(&parcel[..at.index(parcel.len())]).is_err());
            prop_assert!(unseal(&[&parcel[..], &[bit]].concat()).is_err());
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = unseal(&bytes);
        }
    }

    #[test]
    fn an_empty_machine_is_no_parcel_and_a_large_one_is_refused() {
        assert_eq!(unseal(&[]), Err(ParcelFault::Short(0)));
        assert_eq!(unseal(&[0xff; 64]), Err(ParcelFault::Magic([0xff; 4])));
        assert_eq!(seal(&vec![0; MAX_PAYLOAD + 1]), Err(ParcelFault::TooLarge(MAX_PAYLOAD + 1)));
    }
}

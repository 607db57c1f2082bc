//! Where two runs of one seed part.

use super::frames::frames;
use ktstr_wire::{HEADER_LEN, TRAILER_LEN};
use serde::Serialize;
use std::ops::Range;

/// Bytes shown before and after the first that differs.
const AROUND: usize = 70;

/// The first difference between two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `console` or `stream`.
    pub of: &'static str,
    /// Offset of the first byte that differs.
    pub at: usize,
    /// What it lies in: a line of the console, a frame of the stream.
    pub place: String,
    /// The first run around it.
    pub first: String,
    /// The second run around it.
    pub second: String,
}

/// Of the console, if its bytes differ.
pub fn of_console(first: &[u8], second: &[u8]) -> Option<Difference> {
    let at = first_difference(first, second)?;
    let line = first[..at.min(first.len())].iter().filter(|b| **b == b'\n').count() + 1;
    Some(Difference {
        of: "console",
        at,
        place: format!("line {line}"),
        first: around(first, at),
        second: around(second, at),
    })
}

/// Of the stream, if its bytes differ: the frame, and inside it the first byte of the payload that differs.
pub fn of_stream(first: &[u8], second: &[u8]) -> Option<Difference> {
    let at = first_difference(first, second)?;
    let difference = |place: String, first: &[u8], second: &[u8], at_inside: usize| Difference {
        of: "stream",
        at,
        place,
        first: around(first, at_inside),
        second: around(second, at_inside),
    };
    let (ours, theirs) = (frames(first), frames(second));
    let parted = ours.iter().zip(&theirs).position(|((a, _), (b, _))| first[a.clone()] != second[b.clone()]);
    let Some(index) = parted else {
        let place = match (ours.get(theirs.len()), theirs.get(ours.len())) {
            (Some((_, message)), _) => {
                format!("frame {}, {:?}: only the first run has it", theirs.len(), message.kind())
            }
            (_, Some((_, message))) => {
                format!("frame {}, {:?}: only the second run has it", ours.len(), message.kind())
            }
            (None, None) => format!("behind frame {}", ours.len()),
        };
        return Some(difference(place, first, second, at));
    };
    let ((a, said), (b, also)) = (&ours[index], &theirs[index]);
    let (a, b) = (payload(first, a), payload(second, b));
    let kind = match (said.kind(), also.kind()) {
        (one, other) if one == other => format!("{one:?}"),
        (one, other) => format!("{one:?} and {other:?}"),
    };
    // Frames of equal payload differ in their header alone: the nonce, which comes from the seed.
    match first_difference(a, b) {
        Some(inside) => Some(difference(format!("frame {index}, {kind}, byte {inside} of its payload"), a, b, inside)),
        None => Some(difference(format!("frame {index}, {kind}, its header"), first, second, at)),
    }
}

fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    let shorter = a.len().min(b.len());
    a.iter().zip(b).position(|(a, b)| a != b).or_else(|| (a.len() != b.len()).then_some(shorter))
}

fn around(bytes: &[u8], at: usize) -> String {
    let part = &bytes[at.saturating_sub(AROUND).min(bytes.len())..at.saturating_add(AROUND).min(bytes.len())];
    String::from_utf8_lossy(part).escape_debug().to_string()
}

fn payload<'a>(stream: &'a [u8], frame: &Range<usize>) -> &'a [u8] {
    &stream[frame.start + HEADER_LEN..frame.end - TRAILER_LEN]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_wire::{Encoder, Message, Nonce};
    use proptest::prelude::*;

    fn stream(nonce: u64, words: &[&str]) -> Vec<u8> {
        let mut encoder = Encoder::new(Nonce(nonce));
        words.iter().flat_map(|w| encoder.encode(&Message::Phase((*w).to_owned())).unwrap()).collect()
    }

    #[test]
    fn a_frame_that_differs_is_named_with_both_its_contents() {
        let (one, other) = (stream(1, &["boot", "test at 17", "end"]), stream(1, &["boot", "test at 180", "end"]));
        let found = of_stream(&one, &other).unwrap();
        assert!(found.place.starts_with("frame 1, Phase, byte "), "{found:?}");
        assert!(found.first.contains("test at 17") && found.second.contains("test at 180"), "{found:?}");
    }

    #[test]
    fn a_frame_too_many_a_nonce_and_a_tail_are_named() {
        let whole = stream(1, &["a", "b"]);
        let place = |a: &[u8], b: &[u8]| of_stream(a, b).unwrap().place;
        assert_eq!(place(&whole, &stream(1, &["a"])), "frame 1, Phase: only the first run has it");
        assert_eq!(place(&stream(1, &["a"]), &whole), "frame 1, Phase: only the second run has it");
        assert_eq!(place(&stream(2, &["a"]), &stream(1, &["a"])), "frame 0, Phase, its header");
        assert_eq!(place(&whole, &[&whole[..], b"x"].concat()), "behind frame 2");
    }

    #[test]
    fn a_line_of_the_console_is_named() {
        let found = of_console(b"one\ntwo\nthree", b"one\ntwo\nthere").unwrap();
        assert_eq!((found.at, found.place.as_str()), (10, "line 3"));
    }

    proptest! {
        #[test]
        fn equal_bytes_have_no_difference_and_others_have_theirs(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            prop_assert!(of_console(&a, &a).is_none() && of_stream(&a, &a).is_none());
            for found in [of_console(&a, &b), of_stream(&a, &b)] {
                match found {
                    None => prop_assert_eq!(&a, &b),
                    Some(d) => {
                        prop_assert_eq!(&a[..d.at], &b[..d.at]);
                        prop_assert_ne!(a.get(d.at), b.get(d.at));
                    }
                }
            }
        }
    }
}

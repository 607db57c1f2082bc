//! Pages of the kernel's ring buffer (include/linux/ring_buffer.h, kernel/trace/ring_buffer.c).
//!
//! A page begins with a time stamp of eight bytes and a word that says how many bytes follow and whether events were lost before
//! them. Each event begins with a word of 5 bits of kind and 27 of nanoseconds since the one before.

/// Bytes before the first event.
const HEADER: usize = 16;
/// The bytes that follow, in the second word of the header (`COMMIT_MASK` of libtraceevent).
const COMMITTED: u64 = (1 << 27) - 1;
/// Events were lost before this page (`RB_MISSED_EVENTS`).
const MISSED: u64 = 1 << 31;
/// Bits of a delta.
const DELTA_BITS: u32 = 27;
/// Kinds above this are not the length of an event in words.
const LONGEST: u32 = 28;
/// Nothing, to the end of the page or for so many bytes.
const PADDING: u32 = 29;
/// A delta that needs more bits.
const TIME_EXTEND: u32 = 30;
/// A time of its own, but for the uppermost five bits.
const TIME_STAMP: u32 = 31;

/// Gives each event's time, ns, and bytes to `take`, oldest first; the answer is whether any were lost before them. A page that is
/// damaged ends where it stops making sense.
pub(super) fn read<'a>(page: &'a [u8], mut take: impl FnMut(u64, &'a [u8])) -> bool {
    let (Some(mut time), Some(commit)) = (long(page, 0), long(page, 8)) else {
        return false;
    };
    let committed = usize::try_from(commit & COMMITTED).unwrap_or(0);
    let data = page.get(HEADER..).unwrap_or_default();
    let data = data.get(..committed).unwrap_or(data);
    let mut at = 0;
    while let Some(head) = word(data, at) {
        let (kind, delta) = (head & 31, u64::from(head >> 5));
        let next = word(data, at + 4).unwrap_or(0);
        let more = u64::from(next) << DELTA_BITS;
        // Bytes after the word.
        let length = match kind {
            TIME_EXTEND => {
                time = time.wrapping_add(more + delta);
                4
            }
            TIME_STAMP => {
                time = time & (0x1f << 59) | (more + delta);
                4
            }
            PADDING if delta == 0 => break,
            PADDING => {
                time = time.wrapping_add(delta);
                next as usize
            }
            _ => {
                time = time.wrapping_add(delta);
                let (begin, length) = if kind == 0 { (8, next as usize) } else { (4, kind.min(LONGEST) as usize * 4) };
                let Some(event) = data.get(at + begin..at.saturating_add(4).saturating_add(length)) else {
                    break;
                };
                take(time, event);
                length
            }
        };
        at = at.saturating_add(4).saturating_add(length);
    }
    commit & MISSED != 0
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

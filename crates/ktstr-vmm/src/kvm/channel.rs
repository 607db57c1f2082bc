//! The channel between the guest and its host: a window and a doorbell for each direction, one exit for up to 64 KiB.

use super::layout::{ACPI, HIGH_RAM_START, LOW_RAM_END};
use ktstr_wire::{INBOX, INBOX_LEN, WINDOW, WINDOW_LEN};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryMmap};

// The windows and the ACPI tables behind them share what the firmware's map reserves.
const _: () = assert!(
    LOW_RAM_END <= INBOX
        && INBOX + INBOX_LEN as u64 <= WINDOW
        && WINDOW + WINDOW_LEN as u64 <= ACPI
        && ACPI < HIGH_RAM_START
);

/// What the channel has carried; each exit is a ring of the doorbell, or an `out` to the data port.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    rings: AtomicU64,
    bytes_out: AtomicU64,
    fetches: AtomicU64,
    bytes_in: AtomicU64,
}

impl Traffic {
    /// One exit that brought so many bytes.
    pub fn rang(&self, bytes: usize) {
        self.rings.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    fn fetched(&self, bytes: usize) {
        self.fetches.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    /// By name, for the record.
    pub fn counts(&self) -> [(String, u64); 4] {
        [
            ("channel.rings", &self.rings),
            ("channel.bytes_out", &self.bytes_out),
            ("channel.fetches", &self.fetches),
            ("channel.bytes_in", &self.bytes_in),
        ]
        .map(|(name, count)| (name.to_owned(), count.load(Relaxed)))
    }
}

/// What the host has to say, and how much of it the guest has fetched.
pub(crate) struct Inbox(Mutex<Waiting>);

struct Waiting {
    bytes: Vec<u8>,
    fetched: usize,
}

impl Inbox {
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(Mutex::new(Waiting { bytes, fetched: 0 }))
    }

    /// Puts the next piece where the guest looks for it, and says how long it is; 0 when there is no more.
    pub fn next(&self, memory: &GuestMemoryMmap, traffic: &Traffic) -> u32 {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = waiting.bytes.get(waiting.fetched..).unwrap_or_default();
        let piece = &rest[..rest.len().min(INBOX_LEN)];
        // Every machine has memory there; one that had none would get nothing, and say so.
        let length = if memory.write_slice(piece, GuestAddress(INBOX)).is_ok() { piece.len() } else { 0 };
        waiting.fetched += length;
        traffic.fetched(length);
        u32::try_from(length).unwrap_or(0)
    }
}

/// What the guest left in its window, handed to `take`; a length past the window's end is none.
pub(crate) fn take_window(memory: &GuestMemoryMmap, traffic: &Traffic, length: u32, take: impl FnOnce(&[u8])) {
    let mut window = [0; WINDOW_LEN];
    let wanted = usize::try_from(length).ok().and_then(|length| window.get_mut(..length));
    if let Some(bytes) = wanted
        && memory.read_slice(bytes, GuestAddress(WINDOW)).is_ok()
    {
        traffic.rang(bytes.len());
        take(bytes);
    } else {
        traffic.rang(0);
    }
}

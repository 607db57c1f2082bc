//! What `fuzz/` drives; only there in its builds.

use crate::kvm::{Bus, Sink};
use vm_memory::{GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

#[derive(Clone)]
struct Nowhere;

impl Sink for Nowhere {
    fn channel(&self, bytes: &[u8]) {
        assert!(bytes.len() <= ktstr_wire::WINDOW_LEN);
    }

    fn console(&self, bytes: &[u8]) {
        assert!(bytes.len() <= 1);
    }

    fn ended(&self) {}
}

/// Bytes that wait for the guest: two inboxes, and a piece.
const WAITING: usize = 2 * ktstr_wire::INBOX_LEN + 5;

/// Accesses of five bytes and more: direction and length, port, data.
pub fn drive_bus(mut script: &[u8]) {
    let Ok(memory) = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]) else { return };
    let Ok(interrupt) = EventFd::new(libc::EFD_NONBLOCK) else { return };
    let bus = Bus::new(Nowhere, memory, interrupt, vec![7; WAITING]);
    let mut fetched = 0;
    while let [head, low, high, rest @ ..] = script {
        let length = usize::from(head & 0x3f).min(rest.len());
        let (data, tail) = rest.split_at(length);
        let port = u16::from_le_bytes([*low, *high]);
        if head & 0x80 == 0 {
            bus.write(port, data);
        } else {
            let mut data = data.to_vec();
            bus.read(port, &mut data);
            if let (ktstr_wire::DOORBELL, [a, b, c, d]) = (port, &data[..]) {
                let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
                assert!(length <= ktstr_wire::INBOX_LEN);
                fetched += length;
                assert!(fetched <= WAITING);
            }
        }
        script = tail;
    }
}

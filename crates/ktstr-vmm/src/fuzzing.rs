//! What `fuzz/` drives; only there in its builds.

use crate::kvm::{Bus, IO_APIC, IoApic, Sink};
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

/// Accesses of five bytes and more: direction, space and length, port or page offset, data.
pub fn drive_bus(mut script: &[u8]) {
    let Ok(memory) = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]) else { return };
    let Ok(interrupt) = EventFd::new(libc::EFD_NONBLOCK) else { return };
    let bus = Bus::new(Nowhere, memory, interrupt, vec![7; WAITING]).with_ioapic(Some(IoApic::new(|_| Ok(()))));
    let mut fetched = 0;
    while let [head, low, high, rest @ ..] = script {
        let length = usize::from(head & 0x3f).min(rest.len());
        let (data, tail) = rest.split_at(length);
        let port = u16::from_le_bytes([*low, *high]);
        if head & 0x40 != 0 {
            drive_memory(&bus, u64::from(port), data, head & 0x80 == 0);
            script = tail;
            continue;
        }
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

/// Around the I/O APIC's registers: below the start of its page wraps to far away, which is nobody's.
fn drive_memory(bus: &Bus<Nowhere>, offset: u64, data: &[u8], write: bool) {
    let address = u64::from(IO_APIC).wrapping_add(offset).wrapping_sub(8);
    if write {
        assert!(bus.write_memory(address, data).is_ok());
    } else {
        bus.read_memory(address, &mut data.to_vec());
    }
}

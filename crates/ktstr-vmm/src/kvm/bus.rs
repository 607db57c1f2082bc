//! The I/O bus: one serial port, the channel, and what turns a PC off. Whatever the guest does here is answered or ignored;
//! nothing it says sizes a buffer of ours.

use super::channel::{Inbox, Traffic, take_window};
use super::ioapic::IoApic;
use super::layout::{COM1, KEYBOARD_COMMAND, SLEEP_CONTROL, SLEEP_STATUS};
use super::serial::{Keyboard, SerialPort};
use ktstr_wire::{DOORBELL, PORT, PORT_READY};
use std::io::Write;
use std::sync::Arc;
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::eventfd::EventFd;

/// Bits of the sleep control register: sleep now; sleep type (ACPI 6.5, 4.8.3.7).
const SLEEP_ENABLE: u8 = 1 << 5;
const SLEEP_TYPE_SHIFT: u32 = 2;
const SLEEP_TYPE_MASK: u8 = 7;
/// Command of the keyboard controller that pulses the reset line.
const PULSE_RESET: u8 = 0xfe;
/// What a bus without a device reads as.
const FLOATING: u8 = 0xff;

/// What the machine does after an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing of note.
    GoOn,
    /// The guest has powered itself off.
    PowerOff,
    /// The guest has reset itself.
    Reset,
}

/// Takes what the guest sends.
pub(crate) trait Sink: Send + Sync {
    /// Bytes of the channel.
    fn channel(&self, bytes: &[u8]);
    /// Bytes of the console.
    fn console(&self, bytes: &[u8]);
    /// There will be no more: the machine has ended.
    fn ended(&self);
}

/// All ports.
pub(crate) struct Bus<S: Sink + Clone> {
    serial: Arc<SerialPort<S>>,
    sink: S,
    memory: GuestMemoryMmap,
    inbox: Inbox,
    traffic: Arc<Traffic>,
    /// The one device with memory, where KVM has none of its own.
    ioapic: Option<IoApic>,
}

impl<S: Sink + Clone> Bus<S> {
    /// All ports of a machine with this memory; `inbox` is what its guest is told when it asks.
    pub fn new(sink: S, memory: GuestMemoryMmap, serial_interrupt: EventFd, inbox: Vec<u8>) -> Self {
        let serial = Arc::new(SerialPort::new(sink.clone(), serial_interrupt));
        let inbox = Inbox::new(inbox);
        let traffic = Arc::default();
        Self { serial, sink, memory, inbox, traffic, ioapic: None }
    }

    /// With an I/O APIC that KVM leaves to us.
    pub fn with_ioapic(self, ioapic: Option<IoApic>) -> Self {
        Self { ioapic, ..self }
    }

    /// A read from memory that is none.
    pub fn read_memory(&self, address: u64, data: &mut [u8]) {
        if !self.ioapic.as_ref().is_some_and(|ioapic| ioapic.read(address, data)) {
            data.fill(FLOATING);
        }
    }

    /// A write to memory that is none; an error is KVM's, which did not take a route of interrupts.
    pub fn write_memory(&self, address: u64, data: &[u8]) -> Result<(), kvm_ioctls::Error> {
        self.ioapic.as_ref().map_or(Ok(()), |ioapic| ioapic.write(address, data))
    }

    /// What the channel carries, while it does.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// What is written to it is typed on the console.
    pub fn keyboard(&self) -> impl Write + Send + use<S>
    where
        S: 'static,
    {
        Keyboard(Arc::clone(&self.serial))
    }

    /// Tells the listener, and whoever types, that the machine has ended.
    pub fn end(&self) {
        self.serial.end();
        self.sink.ended();
    }

    /// `out`; a string instruction brings many elements at once.
    pub fn write(&self, port: u16, data: &[u8]) -> After {
        match (port, data) {
            (PORT, bytes) => {
                self.traffic.rang(bytes.len());
                self.sink.channel(bytes);
            }
            (DOORBELL, [a, b, c, d]) => {
                let length = u32::from_le_bytes([*a, *b, *c, *d]);
                take_window(&self.memory, &self.traffic, length, |bytes| self.sink.channel(bytes));
            }
            (COM1..=0x3ff, bytes) => self.serial.write(offset(port), bytes),
            (SLEEP_CONTROL, [value, ..]) => {
                let kind = (value >> SLEEP_TYPE_SHIFT) & SLEEP_TYPE_MASK;
                if value & SLEEP_ENABLE != 0 && kind == super::acpi::SOFT_OFF {
                    return After::PowerOff;
                }
            }
            (KEYBOARD_COMMAND, [PULSE_RESET, ..]) => return After::Reset,
            _ => {}
        }
        After::GoOn
    }

    /// `in`; every byte of `data` is written.
    pub fn read(&self, port: u16, data: &mut [u8]) {
        data.fill(FLOATING);
        match port {
            PORT => data.fill(PORT_READY),
            // One register, not a string of them: a piece that the guest has not looked at must not be overwritten.
            DOORBELL if data.len() == 4 => {
                data.copy_from_slice(&self.inbox.next(&self.memory, &self.traffic).to_le_bytes());
            }
            COM1..=0x3ff => self.serial.read(offset(port), data),
            // Never busy, never asleep.
            KEYBOARD_COMMAND | SLEEP_CONTROL | SLEEP_STATUS => data.fill(0),
            _ => {}
        }
    }
}

fn offset(port: u16) -> u8 {
    u8::try_from(port.saturating_sub(COM1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_wire::{INBOX, INBOX_LEN, WINDOW};
    use proptest::prelude::*;
    use std::sync::Mutex;
    use vm_memory::{Bytes as _, GuestAddress};

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Sink for Seen {
        fn channel(&self, bytes: &[u8]) {
            self.0.lock().unwrap().0.extend_from_slice(bytes);
        }

        fn console(&self, bytes: &[u8]) {
            self.0.lock().unwrap().1 += bytes.len();
        }

        fn ended(&self) {}
    }

    fn bus() -> (Bus<Seen>, Seen) {
        bus_that_says(Vec::new())
    }

    fn bus_that_says(inbox: Vec<u8>) -> (Bus<Seen>, Seen) {
        let seen = Seen::default();
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        (Bus::new(seen.clone(), memory, EventFd::new(libc::EFD_NONBLOCK).unwrap(), inbox), seen)
    }

    proptest! {
        #[test]
        fn any_access_is_survived_and_only_the_named_ones_end_the_machine(
            accesses in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..9), any::<bool>()), 0..64)
        ) {
            let (bus, seen) = bus();
            let mut sent = Vec::new();
            for (port, mut data, write) in accesses {
                if write {
                    if port == PORT {
                        sent.extend_from_slice(&data);
                    }
                    let after = bus.write(port, &data);
                    prop_assert!(after == After::GoOn || port == SLEEP_CONTROL || port == KEYBOARD_COMMAND);
                } else {
                    bus.read(port, &mut data);
                }
            }
            let seen = seen.0.lock().unwrap();
            prop_assert_eq!(&seen.0, &sent);
        }

        #[test]
        fn what_the_host_says_comes_whole_and_once_whatever_else_the_guest_reads(
            length in 0..3 * INBOX_LEN, seed in any::<u8>(), widths in prop::collection::vec(0usize..9, 0..24),
        ) {
            let said: Vec<u8> = (0..=250u8).map(|b| b ^ seed).cycle().take(length).collect();
            let (bus, _) = bus_that_says(said.clone());
            let mut heard = Vec::new();
            for width in widths.into_iter().chain([4; 4]) {
                let mut data = vec![0; width];
                bus.read(DOORBELL, &mut data);
                if width == 4 {
                    let length = u32::from_le_bytes(data[..].try_into().unwrap()) as usize;
                    prop_assert!(length <= INBOX_LEN);
                    let mut piece = vec![0; length];
                    bus.memory.read_slice(&mut piece, GuestAddress(INBOX)).unwrap();
                    heard.extend(piece);
                } else {
                    prop_assert_eq!(data, vec![FLOATING; width]);
                }
            }
            prop_assert!(heard == said, "{} bytes of {}", heard.len(), said.len());
        }
    }

    #[test]
    fn soft_off_is_a_power_off_and_the_reset_line_a_reset() {
        let (bus, _) = bus();
        let value = SLEEP_ENABLE | crate::kvm::acpi::SOFT_OFF << SLEEP_TYPE_SHIFT;
        assert_eq!(bus.write(SLEEP_CONTROL, &[value]), After::PowerOff);
        for other in [value & !SLEEP_ENABLE, value & !(1 << SLEEP_TYPE_SHIFT)] {
            assert_eq!(bus.write(SLEEP_CONTROL, &[other]), After::GoOn);
        }
        assert_eq!(bus.write(KEYBOARD_COMMAND, &[PULSE_RESET]), After::Reset);
    }

    #[test]
    fn a_ring_takes_the_window_and_a_length_past_its_end_takes_nothing() {
        let (bus, seen) = bus();
        bus.memory.write_slice(b"frame", GuestAddress(WINDOW)).unwrap();
        for length in [5u32, 0x1_0001, u32::MAX] {
            bus.write(DOORBELL, &length.to_le_bytes());
        }
        bus.write(DOORBELL, &[5]);
        assert_eq!(seen.0.lock().unwrap().0, b"frame");
        let counts = bus.traffic().counts().map(|(_, count)| count);
        assert_eq!(counts, [3, 5, 0, 0], "a ring for nothing is a ring");
    }

    #[test]
    fn what_was_fetched_is_counted_with_the_answer_that_there_is_no_more() {
        let (bus, _) = bus_that_says(vec![1; INBOX_LEN + 1]);
        for expected in [0x1_0000, 1, 0, 0] {
            let mut data = [0; 4];
            bus.read(DOORBELL, &mut data);
            assert_eq!(u32::from_le_bytes(data), expected);
        }
        assert_eq!(bus.traffic().counts().map(|(_, count)| count), [0, 0, 4, 0x1_0001]);
    }

    #[test]
    fn the_channel_says_that_it_is_there() {
        let (bus, _) = bus();
        let mut byte = [0];
        bus.read(PORT, &mut byte);
        assert_eq!(byte, [PORT_READY]);
        bus.read(PORT + 1, &mut byte);
        assert_eq!(byte, [FLOATING]);
    }
}

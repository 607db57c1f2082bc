//! An I/O APIC outside the kernel, for machines whose APIC ids need more than eight bits.
//!
//! KVM's own I/O APIC has eight bits for a destination. Kernels that find `KVM_FEATURE_MSI_EXT_DEST_ID` write seven more into
//! each entry; with a split controller (Documentation/virt/kvm/api.rst, `KVM_CAP_SPLIT_IRQCHIP`) the entries are ours, and each
//! becomes a route from a line to a message that carries all fifteen.
//! Registers: Intel 82093AA data sheet, 3.1 and 3.2. Messages: Intel SDM volume 3, 12.11.

use super::layout::IO_APIC;
use kvm_bindings::{
    KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_msi,
};
use std::sync::{Mutex, PoisonError};

/// Lines, and entries of the redirection table.
pub(crate) const PINS: usize = 24;
/// Bytes that its registers take up in memory.
const SIZE: u64 = 0x20;
/// Offsets of the two registers that are in memory: which one, and its value.
const SELECT: u64 = 0;
const VALUE: u64 = 0x10;
/// Registers behind [`VALUE`]: version, and the first half of the first entry.
const VERSION_REGISTER: u8 = 1;
const FIRST_ENTRY: u8 = 0x10;
/// Version 0x11, and the number of the last entry.
const VERSION: u32 = 0x11 | 23 << 16;
/// Bits of an entry: those a guest cannot write (delivery status, remote IRR), trigger mode, mask.
const READ_ONLY: u64 = 1 << 12 | 1 << 14;
const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;
/// Address of all messages, and where an 8-bit destination stands in it.
const MESSAGE: u32 = 0xfee0_0000;

/// One line's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    pin: u32,
    address_lo: u32,
    /// Bits 8 and up of the destination, at their own places (`KVM_X2APIC_API_USE_32BIT_IDS`).
    address_hi: u32,
    data: u32,
}

/// What a guest has written.
#[derive(Clone, Debug)]
struct Registers {
    selected: u8,
    entries: [u64; PINS],
}

impl Registers {
    const fn new() -> Self {
        Self { selected: 0, entries: [MASKED; PINS] }
    }

    /// The entry and the half of it that is selected.
    fn entry(&self) -> Option<(usize, u32)> {
        let index = self.selected.checked_sub(FIRST_ENTRY)?;
        let pin = usize::from(index / 2);
        (pin < PINS).then_some((pin, u32::from(index % 2) * 32))
    }

    fn read(&self, offset: u64) -> u32 {
        match offset {
            SELECT => u32::from(self.selected),
            VALUE => match self.entry() {
                Some((pin, shift)) => low(self.entries[pin] >> shift),
                None if self.selected == VERSION_REGISTER => VERSION,
                None => 0,
            },
            _ => 0,
        }
    }

    /// Whether the routes have changed.
    fn write(&mut self, offset: u64, value: u32) -> bool {
        match (offset, self.entry()) {
            (SELECT, _) => {
                self.selected = value.to_le_bytes()[0];
                false
            }
            (VALUE, Some((pin, shift))) => {
                let keep = !(u64::from(u32::MAX) << shift) | READ_ONLY;
                let before = self.entries[pin];
                self.entries[pin] = before & keep | u64::from(value) << shift & !READ_ONLY;
                before != self.entries[pin]
            }
            _ => false,
        }
    }

    /// The messages of all lines that are not masked.
    fn messages(&self) -> impl Iterator<Item = Message> {
        (0u32..).zip(self.entries).filter(|(_, entry)| entry & MASKED == 0).map(|(pin, entry)| {
            let destination = low(entry >> 56);
            // Bits 8 to 14 of the destination (kernel: `virt_destid_8_14`, arch/x86/include/asm/io_apic.h).
            let wide = low(entry >> 49) & 0x7f;
            let logical = low(entry >> 11) & 1;
            let (vector_and_mode, level) = (low(entry) & 0x7ff, u32::from(entry & LEVEL != 0));
            Message {
                pin,
                address_lo: MESSAGE | destination << 12 | logical << 2,
                address_hi: wide << 8,
                // A level that is raised, where it is one.
                data: vector_and_mode | level << 15 | level << 14,
            }
        })
    }
}

fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

/// Gives a machine its routes (`KVM_SET_GSI_ROUTING`).
type SetRoutes = dyn Fn(&KvmIrqRouting) -> Result<(), kvm_ioctls::Error> + Send + Sync;

/// The registers, and the machine whose routes follow them.
pub(crate) struct IoApic {
    registers: Mutex<Registers>,
    set_routes: Box<SetRoutes>,
}

impl IoApic {
    /// All lines masked; the machine must have been given [`PINS`] lines of a split controller.
    pub fn new(set_routes: impl Fn(&KvmIrqRouting) -> Result<(), kvm_ioctls::Error> + Send + Sync + 'static) -> Self {
        Self { registers: Mutex::new(Registers::new()), set_routes: Box::new(set_routes) }
    }

    /// Answers a read from its memory; `false` for any other address.
    pub fn read(&self, address: u64, data: &mut [u8]) -> bool {
        let Some(offset) = offset(address) else { return false };
        let value = self.registers.lock().unwrap_or_else(PoisonError::into_inner).read(offset).to_le_bytes();
        for (slot, byte) in data.iter_mut().zip(value.into_iter().chain(std::iter::repeat(0))) {
            *slot = byte;
        }
        true
    }

    /// Takes a write of 32 bits to its memory; everything else is ignored, as the hardware does.
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), kvm_ioctls::Error> {
        let (Some(offset), Ok(value)) = (offset(address), <[u8; 4]>::try_from(data)) else { return Ok(()) };
        let mut registers = self.registers.lock().unwrap_or_else(PoisonError::into_inner);
        if registers.write(offset, u32::from_le_bytes(value)) {
            // Under the lock: the routes of two CPUs' writes must not overtake each other.
            (self.set_routes)(&routing(registers.messages()))?;
        }
        Ok(())
    }
}

fn offset(address: u64) -> Option<u64> {
    address.checked_sub(u64::from(IO_APIC)).filter(|offset| *offset < SIZE)
}

fn routing(messages: impl Iterator<Item = Message>) -> KvmIrqRouting {
    let entries: Vec<kvm_irq_routing_entry> = messages
        .map(|m| {
            let (address_lo, address_hi, data) = (m.address_lo, m.address_hi, m.data);
            let msi = kvm_irq_routing_msi { address_lo, address_hi, data, ..Default::default() };
            let u = kvm_irq_routing_entry__bindgen_ty_1 { msi };
            kvm_irq_routing_entry { gsi: m.pin, type_: KVM_IRQ_ROUTING_MSI, u, ..Default::default() }
        })
        .collect();
    // Fails above KVM_MAX_IRQ_ROUTES (4096); these are 24 at most.
    KvmIrqRouting::from_entries(&entries).unwrap_or_else(|_| unreachable!("{} routes are too many", entries.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(registers: &mut Registers, pin: u8, entry: u64) {
        for half in 0..2u8 {
            registers.write(SELECT, u32::from(FIRST_ENTRY + 2 * pin + half));
            registers.write(VALUE, low(entry >> (32 * u32::from(half))));
        }
    }

    proptest! {
        #[test]
        fn an_entry_becomes_a_message_to_all_fifteen_bits_of_its_destination(
            pin in 0u8..24, vector in 16u64..256, destination in 0u64..0x8000, level: bool,
        ) {
            let mut registers = Registers::new();
            let entry = vector | u64::from(level) << 15 | (destination & 0xff) << 56 | (destination >> 8) << 49;
            set(&mut registers, pin, entry);
            let all: Vec<Message> = registers.messages().collect();
            prop_assert_eq!(all.len(), 1);
            let message = all[0];
            prop_assert_eq!(message.pin, u32::from(pin));
            // Put together again as KVM does: arch/x86/include/asm/msi.h, `x86_msi_msg_get_destid`.
            let seen = (message.address_lo >> 12 & 0xff) | (message.address_hi & 0xffff_ff00);
            prop_assert_eq!(u64::from(seen), destination);
            prop_assert_eq!(u64::from(message.data & 0xff), vector);
            prop_assert_eq!(message.data >> 15 & 1 == 1, level);
        }

        #[test]
        fn any_writes_are_survived_and_read_back_but_for_the_bits_that_are_not_the_guest_s(
            writes in prop::collection::vec((0u64..0x20, any::<u32>()), 0..64)
        ) {
            let mut registers = Registers::new();
            for (offset, value) in writes {
                registers.write(offset, value);
                let seen = registers.read(VALUE);
                if offset == VALUE && let Some((_, shift)) = registers.entry() {
                    prop_assert_eq!(seen, low(u64::from(value) & !(READ_ONLY >> shift)));
                }
                prop_assert!(registers.messages().count() <= PINS);
            }
        }
    }

    #[test]
    fn a_masked_line_has_no_message_and_at_first_all_are() {
        let mut registers = Registers::new();
        assert_eq!(registers.messages().count(), 0);
        set(&mut registers, 4, 0x30);
        assert_eq!(registers.messages().count(), 1);
        set(&mut registers, 4, 0x30 | MASKED);
        assert_eq!(registers.messages().count(), 0);
    }

    #[test]
    fn a_kernel_counts_twenty_four_lines() {
        let mut registers = Registers::new();
        registers.write(SELECT, 1);
        assert_eq!(registers.read(VALUE) >> 16 & 0xff, 23);
    }
}

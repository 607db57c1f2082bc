//! Differentiated system description table (ACPI 6.5, 5.2.11.1), in AML (chapter 20): how to power off, and the serial port.
//!
//! On a machine of the hardware-reduced model the kernel allots no interrupt to a port that it knows from a PC's customs; one
//! that is described has its own (`acpi_generic_reduced_hw_init`, arch/x86/kernel/acpi/boot.c).

use super::table::table;
use crate::kvm::layout::{COM1, COM1_IRQ};

/// The sleep type that powers off.
pub(crate) const SOFT_OFF: u8 = 5;

/// Opcodes (20.2): a name for what follows, a scope, a device, a package, a buffer, and prefixes of constants.
const NAME: u8 = 0x08;
const SCOPE: u8 = 0x10;
const DEVICE: [u8; 2] = [0x5b, 0x82];
const PACKAGE: u8 = 0x12;
const BUFFER: u8 = 0x11;
const ZERO: u8 = 0x00;
const BYTE: u8 = 0x0a;
const DOUBLE_WORD: u8 = 0x0c;
/// `PNP0501`, a 16550, as an EISA id (19.3.4).
const PNP0501: [u8; 4] = [0x41, 0xd0, 0x05, 0x01];
/// Ports of a 16550.
const PORTS: u8 = 8;
/// Resources (6.4): ports that are decoded by 16 bits; one interrupt, of this device, rising edge, not shared; the end, whose
/// checksum of zero is always right.
const IO_PORTS: [u8; 2] = [0x47, 1];
const INTERRUPT: [u8; 5] = [0x89, 6, 0, 0b0011, 1];
const END: [u8; 2] = [0x79, 0];

pub(super) fn dsdt() -> Vec<u8> {
    let off = named(*b"_S5_", &package(&[&[2, BYTE, SOFT_OFF, ZERO]]));
    let id = named(*b"_HID", &[&[DOUBLE_WORD][..], &PNP0501].concat());
    let number = named(*b"_UID", &[ZERO]);
    let resources = named(*b"_CRS", &buffer(&serial_resources()));
    let device = [&DEVICE[..], &sized(&[b"COM1", &id, &number, &resources])].concat();
    let scope = [&[SCOPE][..], &sized(&[b"\\_SB_", &device])].concat();
    table(*b"DSDT", 2, &[off, scope].concat())
}

fn serial_resources() -> Vec<u8> {
    let first = COM1.to_le_bytes();
    let alignment = 1;
    let ports = [&IO_PORTS[..], &first, &first, &[alignment, PORTS]].concat();
    [&ports, &INTERRUPT[..], &COM1_IRQ.to_le_bytes(), &END].concat()
}

fn named(name: [u8; 4], value: &[u8]) -> Vec<u8> {
    [&[NAME][..], &name, value].concat()
}

/// A package; its parts begin with the count of its elements.
fn package(parts: &[&[u8]]) -> Vec<u8> {
    [&[PACKAGE][..], &sized(parts)].concat()
}

fn buffer(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[BUFFER][..], &sized(&[&[BYTE, length], bytes])].concat()
}

/// `PkgLength` (20.2.4), which counts itself, and what it measures: one byte up to 63, two up to 4095.
fn sized(parts: &[&[u8]]) -> Vec<u8> {
    const SHORT_MAX: usize = 63;
    let content = parts.concat();
    let short = content.len() + 1;
    let mut out = if short <= SHORT_MAX {
        short.to_le_bytes()[..1].to_vec()
    } else {
        let [low, high, ..] = (content.len() + 2).to_le_bytes();
        vec![1 << 6 | low & 0xf, high << 4 | low >> 4]
    };
    out.extend(content);
    out
}

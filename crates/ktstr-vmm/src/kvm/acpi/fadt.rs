//! Fixed ACPI description table (ACPI 6.5, 5.2.9): the hardware-reduced model, no keyboard controller, no VGA, no clock chip, off
//! by the sleep control register.

use super::table::table;
use crate::kvm::layout::{SLEEP_CONTROL, SLEEP_STATUS};

const LENGTH: usize = 276;
const HEADER: usize = 36;
/// 5.2.9.3: legacy devices, VGA not present, no ASPM, CMOS clock not present.
const BOOT_ARCHITECTURE: u16 = 1 | 1 << 2 | 1 << 4 | 1 << 5;
/// WBINVD works, C1 on all CPUs, no power button, no sleep button, no clock wake-up, hardware-reduced.
const FLAGS: u32 = 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 20;
/// Latencies past which C2 and C3 do not exist.
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;
/// 5.2.9.1: an enterprise server.
const PROFILE: u8 = 4;

pub(super) fn fadt(dsdt: u64) -> Vec<u8> {
    let mut body = vec![0; LENGTH - HEADER];
    let mut put = |offset: usize, bytes: &[u8]| {
        body[offset - HEADER..offset - HEADER + bytes.len()].copy_from_slice(bytes);
    };
    // Tables lie in the first megabyte.
    put(40, &dsdt.to_le_bytes()[..4]);
    put(45, &[PROFILE]);
    put(96, &NO_C2.to_le_bytes());
    put(98, &NO_C3.to_le_bytes());
    put(109, &BOOT_ARCHITECTURE.to_le_bytes());
    put(112, &FLAGS.to_le_bytes());
    put(140, &dsdt.to_le_bytes());
    put(244, &port(SLEEP_CONTROL));
    put(256, &port(SLEEP_STATUS));
    table(*b"FACP", 6, &body)
}

/// Generic address structure of an I/O port of eight bits (5.2.3.2).
fn port(number: u16) -> [u8; 12] {
    const SYSTEM_IO: u8 = 1;
    const BITS: u8 = 8;
    const BYTES: u8 = 1;
    let mut out = [0; 12];
    out[..4].copy_from_slice(&[SYSTEM_IO, BITS, 0, BYTES]);
    out[4..6].copy_from_slice(&number.to_le_bytes());
    out
}

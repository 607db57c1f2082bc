//! Fixed ACPI description table (ACPI 6.5, 5.2.9): no keyboard controller, no VGA, no clock chip, off by PM1a.

use super::table::table;
use crate::kvm::layout::{PM1_CONTROL, PM1_EVENT, SCI};

const LENGTH: usize = 276;
const HEADER: usize = 36;
/// 5.2.9.3: legacy devices, VGA not present, no ASPM, CMOS clock not present.
const BOOT_ARCHITECTURE: u16 = 1 | 1 << 2 | 1 << 4 | 1 << 5;
/// WBINVD works, C1 on all CPUs, no power button, no sleep button, no clock wake-up.
const FLAGS: u32 = 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6;
/// Latencies past which C2 and C3 do not exist.
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;
/// Length of the PM1a event and control blocks in bytes.
const EVENT_LEN: u8 = 4;
const CONTROL_LEN: u8 = 2;
/// 5.2.9.1: an enterprise server.
const PROFILE: u8 = 4;

pub(super) fn fadt(facs: u64, dsdt: u64) -> Vec<u8> {
    let mut body = vec![0; LENGTH - HEADER];
    let mut put = |offset: usize, bytes: &[u8]| {
        body[offset - HEADER..offset - HEADER + bytes.len()].copy_from_slice(bytes);
    };
    // Tables lie in the first megabyte.
    put(36, &facs.to_le_bytes()[..4]);
    put(40, &dsdt.to_le_bytes()[..4]);
    put(45, &[PROFILE]);
    put(46, &SCI.to_le_bytes());
    put(56, &u32::from(PM1_EVENT).to_le_bytes());
    put(64, &u32::from(PM1_CONTROL).to_le_bytes());
    put(88, &[EVENT_LEN, CONTROL_LEN]);
    put(96, &NO_C2.to_le_bytes());
    put(98, &NO_C3.to_le_bytes());
    put(109, &BOOT_ARCHITECTURE.to_le_bytes());
    put(112, &FLAGS.to_le_bytes());
    put(140, &dsdt.to_le_bytes());
    put(148, &port(PM1_EVENT, EVENT_LEN));
    put(172, &port(PM1_CONTROL, CONTROL_LEN));
    table(*b"FACP", 6, &body)
}

/// Generic address structure of an I/O port (5.2.3.2).
fn port(number: u16, bytes: u8) -> [u8; 12] {
    const SYSTEM_IO: u8 = 1;
    const WORDS: u8 = 2;
    let mut out = [0; 12];
    out[..4].copy_from_slice(&[SYSTEM_IO, bytes * 8, 0, WORDS]);
    out[4..6].copy_from_slice(&number.to_le_bytes());
    out
}

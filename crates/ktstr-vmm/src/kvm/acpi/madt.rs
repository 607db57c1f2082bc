//! Multiple APIC description table (ACPI 6.5, 5.2.12).

use super::table::table;
use crate::kvm::layout::{IO_APIC, LOCAL_APIC};
use ktstr_topology::{ApicLayout, Topology};

/// Not `PCAT_COMPAT`: there are no two 8259s that a kernel would have to silence.
const FLAGS: u32 = 0;
const ENABLED: u32 = 1;
/// Largest id of the short entries; 255 means everybody.
pub(super) const SHORT_MAX: u32 = 254;

pub(super) fn madt(topology: &Topology) -> Vec<u8> {
    let layout = ApicLayout::of(topology);
    let mut body = LOCAL_APIC.to_le_bytes().to_vec();
    body.extend_from_slice(&FLAGS.to_le_bytes());
    for cpu in 0..topology.total_cpus() {
        let id = layout.apic_id(cpu).unwrap_or(u32::MAX);
        match (u8::try_from(cpu), u8::try_from(id)) {
            (Ok(uid), Ok(short)) if id <= SHORT_MAX && uid < u8::MAX => {
                body.extend_from_slice(&[0, 8, uid, short]);
                body.extend_from_slice(&ENABLED.to_le_bytes());
            }
            _ => {
                body.extend_from_slice(&[9, 16, 0, 0]);
                for field in [id, ENABLED, cpu] {
                    body.extend_from_slice(&field.to_le_bytes());
                }
            }
        }
    }
    // One I/O APIC from global interrupt 0 on.
    body.extend_from_slice(&[1, 12, 0, 0]);
    body.extend_from_slice(&IO_APIC.to_le_bytes());
    body.extend_from_slice(&0u32.to_le_bytes());
    // LINT1 of every CPU is the NMI.
    body.extend_from_slice(&[4, 6, 0xff, 0, 0, 1]);
    table(*b"APIC", 5, &body)
}

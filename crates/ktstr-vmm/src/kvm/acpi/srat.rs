//! System resource affinity table (ACPI 6.5, 5.2.16): which node a CPU and a piece of memory belong to.

use super::madt::SHORT_MAX;
use super::table::table;
use crate::kvm::memory::Region;
use ktstr_topology::{ApicLayout, Topology};

const ENABLED: u32 = 1;

pub(super) fn srat(topology: &Topology, regions: &[Region]) -> Vec<u8> {
    let layout = ApicLayout::of(topology);
    // Reserved, and must be 1 for old readers.
    let mut body = 1u32.to_le_bytes().to_vec();
    body.extend_from_slice(&[0; 8]);
    for cpu in 0..topology.total_cpus() {
        let id = layout.apic_id(cpu).unwrap_or(u32::MAX);
        let node = layout.place(cpu).map_or(0, |p| p.node);
        cpu_entry(&mut body, id, node);
    }
    for region in regions {
        body.extend_from_slice(&[1, 40]);
        body.extend_from_slice(&region.node.to_le_bytes());
        body.extend_from_slice(&[0; 2]);
        body.extend_from_slice(&region.start.to_le_bytes());
        body.extend_from_slice(&region.size.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&ENABLED.to_le_bytes());
        body.extend_from_slice(&[0; 8]);
    }
    table(*b"SRAT", 3, &body)
}

fn cpu_entry(body: &mut Vec<u8>, id: u32, node: u32) {
    let nodes = node.to_le_bytes();
    match u8::try_from(id) {
        Ok(short) if id <= SHORT_MAX => {
            body.extend_from_slice(&[0, 16, nodes[0], short]);
            body.extend_from_slice(&ENABLED.to_le_bytes());
            body.extend_from_slice(&[0, nodes[1], nodes[2], nodes[3]]);
            body.extend_from_slice(&[0; 4]);
        }
        _ => {
            body.extend_from_slice(&[2, 24, 0, 0]);
            for field in [node, id, ENABLED, 0, 0] {
                body.extend_from_slice(&field.to_le_bytes());
            }
        }
    }
}

//! Heterogeneous memory attribute table (ACPI 6.5, 5.2.27), when nodes declare latencies or bandwidths.

use super::table::table;
use ktstr_topology::{NumaNode, Topology};

/// Latencies are in picoseconds; their unit is a nanosecond.
const LATENCY_UNIT: u64 = 1000;
/// Bandwidths are in MB/s; this unit takes 16-bit entries to 6.5 TB/s.
const BANDWIDTH_UNIT: u64 = 100;
const ACCESS_LATENCY: u8 = 0;
const ACCESS_BANDWIDTH: u8 = 3;

pub(super) fn hmat(topology: &Topology) -> Option<Vec<u8>> {
    let nodes = topology.nodes()?;
    let mut body = vec![0; 4];
    let attributes = body.len();
    let scaled = |value: u32, unit: u64| u16::try_from(u64::from(value).div_ceil(unit)).unwrap_or(u16::MAX - 1);
    if nodes.iter().any(|n| n.latency_ns.is_some()) {
        let entry = |n: &NumaNode| n.latency_ns.map_or(u16::MAX, |ns| scaled(ns, 1));
        locality(&mut body, nodes, ACCESS_LATENCY, LATENCY_UNIT, entry);
    }
    if nodes.iter().any(|n| n.bandwidth_mbs.is_some()) {
        let entry = |n: &NumaNode| n.bandwidth_mbs.map_or(u16::MAX, |mbs| scaled(mbs, BANDWIDTH_UNIT));
        locality(&mut body, nodes, ACCESS_BANDWIDTH, BANDWIDTH_UNIT, entry);
    }
    (body.len() > attributes).then(|| table(*b"HMAT", 2, &body))
}

/// System locality structure: what every node with CPUs sees of every node's memory; `u16::MAX` is "cannot be reached".
fn locality(body: &mut Vec<u8>, nodes: &[NumaNode], kind: u8, unit: u64, entry: impl Fn(&NumaNode) -> u16) {
    let targets: Vec<u32> = (0u32..).zip(nodes).map(|(number, _)| number).collect();
    let initiators: Vec<u32> = (0u32..).zip(nodes).filter(|(_, n)| n.llcs > 0).map(|(number, _)| number).collect();
    let length = 32 + 4 * (initiators.len() + targets.len()) + 2 * initiators.len() * targets.len();
    let count = |list: &[u32]| u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes();
    body.extend_from_slice(&[1, 0, 0, 0]);
    body.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    body.extend_from_slice(&[0, kind, 0, 0]);
    body.extend_from_slice(&count(&initiators));
    body.extend_from_slice(&count(&targets));
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(&unit.to_le_bytes());
    body.extend(initiators.iter().chain(&targets).flat_map(|n| n.to_le_bytes()));
    for _ in &initiators {
        body.extend(nodes.iter().flat_map(|n| entry(n).to_le_bytes()));
    }
}

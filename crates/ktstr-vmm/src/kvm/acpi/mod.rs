//! ACPI tables of a machine. Pure: from a shape to bytes.
//!
//! Layouts and numbers: ACPI specification 6.5, the section named at each table.

mod fadt;
mod hmat;
mod madt;
mod srat;
mod table;

use super::memory::Region;
use ktstr_topology::Topology;
use table::table;

/// Alignment of the FACS (5.2.10).
const FACS_ALIGN: u64 = 64;
/// Length of the FACS.
const FACS_LEN: usize = 64;
/// Length of the RSDP of revision 2 (5.2.5.3).
const RSDP_LEN: usize = 36;

/// Name and bytes of a table, for those who look at them one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcpiTable {
    /// Its signature, or `RSDP`.
    pub name: &'static str,
    /// All of it, checksums included.
    pub bytes: Vec<u8>,
    /// Guest-physical address.
    pub address: u64,
}

/// All tables of a machine, the RSDP at `base`, in the order of their addresses.
#[must_use]
pub fn acpi_tables(topology: &Topology, node_mib: &[u64], base: u64) -> Vec<AcpiTable> {
    build(topology, &super::memory::regions(node_mib), base)
}

pub(crate) fn build(topology: &Topology, regions: &[Region], base: u64) -> Vec<AcpiTable> {
    let mut out = Vec::new();
    let mut next = (base + RSDP_LEN as u64).next_multiple_of(FACS_ALIGN);
    let mut place = |name, bytes: Vec<u8>| {
        let address = next;
        next = (address + bytes.len() as u64).next_multiple_of(16);
        out.push(AcpiTable { name, bytes, address });
        address
    };
    let facs = place("FACS", facs());
    let dsdt = place("DSDT", table(*b"DSDT", 2, &soft_off()));
    let mut listed = vec![
        place("FACP", fadt::fadt(facs, dsdt)),
        place("APIC", madt::madt(topology)),
        place("SRAT", srat::srat(topology, regions)),
        place("SLIT", slit(topology)),
    ];
    if let Some(bytes) = hmat::hmat(topology) {
        listed.push(place("HMAT", bytes));
    }
    let body: Vec<u8> = listed.iter().flat_map(|a| a.to_le_bytes()).collect();
    let xsdt = place("XSDT", table(*b"XSDT", 1, &body));
    out.insert(0, AcpiTable { name: "RSDP", bytes: rsdp(xsdt), address: base });
    out
}

/// 5.2.5.3.
fn rsdp(xsdt: u64) -> Vec<u8> {
    let mut out = b"RSD PTR ".to_vec();
    out.push(0);
    out.extend_from_slice(table::OEM);
    out.push(2);
    out.extend_from_slice(&0u32.to_le_bytes());
    out.extend_from_slice(&36u32.to_le_bytes());
    out.extend_from_slice(&xsdt.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    // The first checksum covers the 20 bytes of revision 0, the second everything.
    out[8] = table::checksum(&out[..20]);
    out[32] = table::checksum(&out);
    out
}

/// 5.2.10: version 2, everything else for sleep states that this machine does not have.
fn facs() -> Vec<u8> {
    let mut out = vec![0; FACS_LEN];
    out[..4].copy_from_slice(b"FACS");
    out[4..8].copy_from_slice(&64u32.to_le_bytes());
    out[32] = 2;
    out
}

/// `Name (_S5, Package () { 5, 5, 0, 0 })`: soft-off by writing 5 as the sleep type (20.2, AML).
fn soft_off() -> Vec<u8> {
    let (name, package, bytes, zero) = (0x08, 0x12, 0x0a, 0x00);
    let elements = [bytes, SOFT_OFF, bytes, SOFT_OFF, zero, zero];
    let mut out = vec![name];
    out.extend_from_slice(b"_S5_");
    // Length of the package: itself, the count of its elements, the elements.
    out.extend_from_slice(&[package, 8, 4]);
    out.extend_from_slice(&elements);
    out
}

/// The sleep type that powers off.
pub(crate) const SOFT_OFF: u8 = 5;

/// 5.2.17.
fn slit(topology: &Topology) -> Vec<u8> {
    let nodes = topology.numa_nodes;
    let mut body = u64::from(nodes).to_le_bytes().to_vec();
    for from in 0..nodes {
        body.extend((0..nodes).map(|to| topology.distance(from, to)));
    }
    table(*b"SLIT", 1, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_table_sums_to_zero_and_none_overlap(n in 1u32..5, l in 1u32..5, c in 1u32..17, t in 1u32..3) {
            let topology = Topology::new(n, n * l, c, t).unwrap();
            let all = acpi_tables(&topology, &vec![512; n as usize], 0xe_0000);
            for table in all.iter().filter(|t| t.name != "FACS") {
                prop_assert_eq!(table.bytes.iter().fold(0u8, |a, b| a.wrapping_add(*b)), 0, "{}", table.name);
            }
            for pair in all.windows(2) {
                prop_assert!(pair[0].address + pair[0].bytes.len() as u64 <= pair[1].address);
            }
        }
    }

    #[test]
    fn a_thousand_cpus_fit_below_the_first_megabyte() {
        let topology = Topology::new(4, 16, 32, 2).unwrap();
        let all = acpi_tables(&topology, &[512; 4], 0xe_0000);
        let last = all.last().unwrap();
        assert!(last.address + last.bytes.len() as u64 <= 0x10_0000);
    }
}

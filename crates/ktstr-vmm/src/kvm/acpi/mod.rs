//! ACPI tables of a machine. Pure: from a shape to bytes.
//!
//! Layouts and numbers: ACPI specification 6.5, the section named at each table. The machine is of the hardware-reduced model
//! (4.1): no 8259, no timer of ACPI's or the PC's, no interrupt for ACPI, and nothing that a kernel has to try out while it boots.

mod dsdt;
mod fadt;
mod hmat;
mod madt;
mod srat;
mod table;

use super::memory::Region;
pub(crate) use dsdt::SOFT_OFF;
use ktstr_topology::Topology;
use table::table;

/// Length of the RSDP of revision 2 (5.2.5.3).
const RSDP_LEN: usize = 36;
/// Where tables begin; none needs more since there is no FACS.
const ALIGN: u64 = 16;

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
    let mut next = (base + RSDP_LEN as u64).next_multiple_of(ALIGN);
    let mut place = |name, bytes: Vec<u8>| {
        let address = next;
        next = (address + bytes.len() as u64).next_multiple_of(ALIGN);
        out.push(AcpiTable { name, bytes, address });
        address
    };
    let dsdt = place("DSDT", dsdt::dsdt());
    let mut listed = vec![
        place("FACP", fadt::fadt(dsdt)),
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
            for table in &all {
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

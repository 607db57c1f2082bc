//! The tables as ACPICA reads them: code that the kernel shares, and we did not write.
#![allow(clippy::unwrap_used)]

use ktstr_topology::{NumaNode, Topology, presets};
use ktstr_vmm::acpi_tables;
use std::process::Command;

/// Disassembles every table; any complaint fails. The text of all of them is the answer.
fn disassembled(topology: &Topology, node_mib: &[u64]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for table in acpi_tables(topology, node_mib, 0xe_0000).iter().filter(|t| t.name != "RSDP") {
        let file = dir.path().join(format!("{}.dat", table.name));
        std::fs::write(&file, &table.bytes).unwrap();
        let output = Command::new("iasl").arg("-d").arg(&file).output();
        let output = output.expect("iasl is missing: run `apt-get install acpica-tools`");
        let said = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
        assert!(output.status.success(), "{topology} {}: {said}", table.name);
        for bad in ["Warning", "Error", "Invalid", "Incorrect checksum", "unknown"] {
            assert!(!said.contains(bad), "{topology} {}: {said}", table.name);
        }
        text += &std::fs::read_to_string(file.with_extension("dsl")).unwrap();
    }
    for bad in ["**** ", "Invalid", "Incorrect", "Unknown"] {
        assert!(!text.contains(bad), "{topology}: {}", text.lines().find(|l| l.contains(bad)).unwrap());
    }
    text
}

#[test]
fn acpica_reads_the_tables_of_every_preset_without_a_complaint() {
    for preset in presets() {
        let text = disassembled(&preset.topology, &vec![512; preset.topology.numa_nodes as usize]);
        let cpus = text.matches("[Processor Local APIC]").count() + text.matches("[Processor Local x2APIC]").count();
        assert_eq!(cpus, preset.topology.total_cpus() as usize, "{}", preset.name);
    }
}

#[test]
fn acpica_reads_latencies_and_bandwidths_of_nodes_that_differ() {
    let near = NumaNode { llcs: 2, memory_mib: 512, latency_ns: Some(90), bandwidth_mbs: Some(100_000) };
    let far = NumaNode { llcs: 0, memory_mib: 1024, latency_ns: Some(250), bandwidth_mbs: Some(20_000) };
    let topology = Topology::new(1, 2, 2, 1).unwrap().with_nodes(vec![near, far]).unwrap();
    let text = disassembled(&topology, &[512, 1024]);
    assert_eq!(text.matches("[System Locality Latency and Bandwidth Information]").count(), 2, "{text}");
}

#[test]
fn acpica_reads_ids_past_255() {
    let text = disassembled(&Topology::new(2, 16, 10, 2).unwrap(), &[2048, 2048]);
    assert!(text.contains("[Processor Local x2APIC]") && text.contains("[Processor Local x2APIC Affinity]"), "{text}");
}

#[test]
fn acpica_reads_a_serial_port_with_its_interrupt_and_how_to_power_off() {
    let text = disassembled(&Topology::new(1, 1, 2, 1).unwrap(), &[512]);
    let block = text.split("DefinitionBlock").nth(1).unwrap();
    insta::assert_snapshot!(&block[block.find('{').unwrap()..=block.rfind("\n}").unwrap() + 1]);
    assert!(text.contains("Hardware Reduced (V5) : 1"), "{text}");
}

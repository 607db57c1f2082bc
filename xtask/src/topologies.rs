//! `cargo xtask topologies`: every shape up to a number of CPUs boots on KVM in the lab, and reads back exactly.

use crate::lab;
use crate::step::workspace_root;
use anyhow::{Context as _, Result, bail};
use ktstr_topology::{Topology, oddities, presets};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Largest machine that the lab takes in bearable time.
const MOST_CPUS: u32 = 32;
/// Shapes beside the presets: one CPU, threads that are no power of two, many packages, one cache for each core.
const MORE: [&str; 4] = ["1n1l1c1t", "1n2l3c3t", "1n8l1c1t", "3n6l1c2t"];

/// Boots them all inside the lab.
pub fn topologies() -> Result<()> {
    lab::run_command(&["/lab/xtask", "topologies-inside"], &[])
}

/// What runs inside: one line a shape, all of them tried.
pub fn inside() -> Result<()> {
    let odd = oddities().context("a shape of the list is not valid")?;
    let mut shapes: Vec<(String, u32)> = Vec::new();
    for preset in presets() {
        shapes.push((preset.topology.to_string(), preset.topology.total_cpus()));
    }
    for oddity in &odd {
        shapes.push((oddity.name.to_owned(), oddity.topology.total_cpus()));
    }
    for text in MORE {
        let shape: Topology = text.parse().with_context(|| format!("{text} is not a shape"))?;
        shapes.push((text.to_owned(), shape.total_cpus()));
    }
    shapes.retain(|(_, cpus)| *cpus <= MOST_CPUS);
    shapes.sort_by_key(|(_, cpus)| *cpus);
    let mut failed = Vec::new();
    for (shape, cpus) in &shapes {
        let start = Instant::now();
        let output = Command::new(workspace_root().join("target/debug/fixture"))
            .args(["--ktstr-test-fn=says_hello", &format!("--ktstr-topo={shape}")])
            .env("NEXTEST", "1")
            .stdin(Stdio::null())
            .output()
            .context("failed to start the test")?;
        let passed = output.status.success();
        println!(
            "{shape:<20} {cpus:>3} CPUs {} {:>6.1} s",
            if passed { "PASS" } else { "FAIL" },
            start.elapsed().as_secs_f64()
        );
        if !passed {
            println!("{}", String::from_utf8_lossy(&output.stderr));
            failed.push(shape.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of {} shapes failed: {}", failed.len(), shapes.len(), failed.join(", "))
}

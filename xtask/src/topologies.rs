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
    // What a kernel must be told besides the shape, and what has no word in the grammar, is not in this list.
    let plain_oddities = odd.iter().filter(|o| o.topology.is_plain() && o.offline_cpus.is_empty() && !o.without_l3);
    let mut shapes: Vec<Topology> = presets().iter().map(|p| p.topology.clone()).collect();
    shapes.extend(plain_oddities.map(|o| o.topology.clone()));
    for text in MORE {
        shapes.push(text.parse().with_context(|| format!("{text} is not a shape"))?);
    }
    shapes.retain(|t| t.total_cpus() <= MOST_CPUS);
    shapes.sort_by_key(Topology::total_cpus);
    let mut failed = Vec::new();
    for shape in &shapes {
        let start = Instant::now();
        let output = Command::new(workspace_root().join("target/debug/fixture"))
            .args(["--ktstr-test-fn=says_hello", &format!("--ktstr-topo={shape}")])
            .env("NEXTEST", "1")
            .stdin(Stdio::null())
            .output()
            .context("failed to start the test")?;
        let passed = output.status.success();
        println!(
            "{shape:<10} {:>3} CPUs {} {:>6.1} s",
            shape.total_cpus(),
            if passed { "PASS" } else { "FAIL" },
            start.elapsed().as_secs_f64()
        );
        if !passed {
            println!("{}", String::from_utf8_lossy(&output.stderr));
            failed.push(shape.to_string());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of {} shapes failed: {}", failed.len(), shapes.len(), failed.join(", "))
}

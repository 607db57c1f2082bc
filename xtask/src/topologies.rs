//! `cargo xtask topologies`: every shape up to a number of CPUs boots on KVM in the lab, and reads back exactly.

use crate::lab;
use crate::step::workspace_root;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use ktstr_topology::{Topology, oddities, preset, presets};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Largest machine that the lab takes in bearable time.
const MOST_CPUS: u32 = 32;
/// Shapes beside the presets: one CPU, threads that are no power of two, many packages, one cache for each core.
const MORE: [&str; 4] = ["1n1l1c1t", "1n2l3c3t", "1n8l1c1t", "3n6l1c2t"];

/// Two machines past that number, one with ids that need more than eight bits: minutes each.
const LARGE: [&str; 2] = ["64cpu-8llc-smt", "252cpu-14llc-smt"];

/// Which shapes.
#[derive(Args, Debug)]
pub struct Topologies {
    /// Instead of all up to 32 CPUs: one of 64 and one of 252
    #[arg(long, conflicts_with = "shapes")]
    large: bool,
    /// Instead of all: these presets, oddities or NnNlNcNt
    shapes: Vec<String>,
}

/// Boots them all inside the lab.
pub fn topologies(options: &Topologies) -> Result<()> {
    let mut words = vec!["/lab/xtask", "topologies-inside"];
    words.extend(if options.large { LARGE.to_vec() } else { options.shapes.iter().map(String::as_str).collect() });
    lab::run_command(&words, &[])
}

/// What runs inside: one line a shape, all of them tried.
pub fn inside(options: &Topologies) -> Result<()> {
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
    if options.shapes.is_empty() {
        shapes.retain(|(_, cpus)| *cpus <= MOST_CPUS);
    } else {
        let cpus = |name: &str| {
            let odd = odd.iter().find(|o| o.name == name).map(|o| o.topology.total_cpus());
            odd.or_else(|| preset(name).map(|p| p.topology.total_cpus()))
                .or_else(|| name.parse::<Topology>().ok().map(|t| t.total_cpus()))
        };
        shapes = options.shapes.iter().map(|name| (name.clone(), cpus(name).unwrap_or(0))).collect();
    }
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

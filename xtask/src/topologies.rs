//! `cargo xtask topologies`: every shape up to a number of CPUs boots on KVM in the lab, and reads back exactly; two large ones
//! do so under TCG, which translates once where the lab translates a translator.

use crate::demo::{self, DEFAULT_KERNEL};
use crate::lab;
use crate::setup::run_setup;
use crate::step::{self, cargo, workspace_root};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use ktstr_topology::{oddities, presets, shape};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Largest machine that the lab takes in bearable time.
const MOST_CPUS: u32 = 32;
/// Shapes beside the presets: one CPU, threads that are no power of two, many packages, one cache for each core.
const MORE: [&str; 4] = ["1n1l1c1t", "1n2l3c3t", "1n8l1c1t", "3n6l1c2t"];
/// Two machines past that number, the second as large as ids of eight bits allow.
const LARGE: [&str; 2] = ["64cpu-8llc-smt", "1n63l4c1t"];

/// Which shapes, and where.
#[derive(Args, Debug)]
pub struct Topologies {
    /// One of 64 CPUs and one of 252 under TCG: six minutes
    #[arg(long, conflicts_with = "shapes")]
    large: bool,
    /// On this machine under TCG instead of in the lab
    #[arg(long)]
    tcg: bool,
    /// Instead of all up to 32 CPUs: these presets, oddities or NnNlNcNt
    shapes: Vec<String>,
}

/// Boots them all.
pub fn topologies(options: &Topologies) -> Result<()> {
    let shapes: Vec<&str> = match options.large {
        true => LARGE.to_vec(),
        false => options.shapes.iter().map(String::as_str).collect(),
    };
    if options.tcg || options.large {
        run_setup()?;
        step::run(&mut cargo(&["build", "--quiet", "--locked", "--package", "fault-tests", "--bins"]))?;
        let kernel = demo::fetch_kernel(DEFAULT_KERNEL)?;
        let kernel = kernel.dir().display().to_string();
        return boot(&shapes, &[("KTSTR_ACCEL", "tcg"), ("KTSTR_KERNEL", &kernel)]);
    }
    let words: Vec<&str> = ["/lab/xtask", "topologies-inside"].into_iter().chain(shapes).collect();
    lab::run_command(&words, &[])
}

/// What runs inside the lab.
pub fn inside(options: &Topologies) -> Result<()> {
    boot(&options.shapes.iter().map(String::as_str).collect::<Vec<_>>(), &[])
}

/// Every shape that this project knows and the lab can take.
fn known() -> Result<Vec<String>> {
    let mut names: Vec<String> = presets().iter().map(|p| p.name.to_owned()).collect();
    names.extend(oddities().context("a shape of the list is not valid")?.iter().map(|o| o.name.to_owned()));
    names.extend(MORE.map(str::to_owned));
    names.retain(|name| shape(name).is_ok_and(|s| s.total_cpus() <= MOST_CPUS));
    Ok(names)
}

/// One line a shape, all of them tried.
fn boot(names: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let names = if names.is_empty() { known()? } else { names.iter().map(|n| (*n).to_owned()).collect() };
    let sized = names.into_iter().map(|name| {
        let cpus = shape(&name).with_context(|| format!("{name} is not a shape"))?.total_cpus();
        Ok((name, cpus))
    });
    let mut shapes = sized.collect::<Result<Vec<_>>>()?;
    shapes.sort_by_key(|(_, cpus)| *cpus);
    let mut failed = Vec::new();
    for (shape, cpus) in &shapes {
        let start = Instant::now();
        let output = Command::new(workspace_root().join("target/debug/fixture"))
            .args(["--ktstr-test-fn=says_hello", &format!("--ktstr-topo={shape}")])
            .env("NEXTEST", "1")
            .envs(environment.iter().copied())
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

//! `cargo ktstr topo`: this host, drawn as text.

use anyhow::Result;
use ktstr_vmm::host::HostTopology;
use serde_json::json;
use std::fmt::Write as _;
use std::process::ExitCode;

/// This host's topology.
#[derive(clap::Args, Debug)]
pub struct Topo {
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Draws it.
pub fn run(topo: &Topo) -> Result<ExitCode> {
    let host = HostTopology::detect();
    let caches: Vec<(u32, Vec<u32>)> = host.caches().iter().map(|c| (c.node, c.cpus.clone())).collect();
    if topo.json {
        let llcs: Vec<_> = caches.iter().map(|(node, cpus)| json!({"node": node, "cpus": cpus})).collect();
        let shape = host.as_topology().map(|t| t.to_string());
        println!("{}", json!({"cpus": host.cpus, "nodes": host.nodes, "topology": shape, "llcs": llcs}));
        return Ok(ExitCode::SUCCESS);
    }
    match host.as_topology() {
        Some(shape) => println!("{shape}: {} CPUs that this process may run on", host.cpus),
        None => println!("not uniform: {} CPUs that this process may run on, {} LLCs", host.cpus, host.llcs),
    }
    print!("{}", draw(&caches));
    Ok(ExitCode::SUCCESS)
}

/// A node a line, its caches below it.
fn draw(caches: &[(u32, Vec<u32>)]) -> String {
    let mut nodes: Vec<u32> = caches.iter().map(|(node, _)| *node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut out = String::new();
    for node in nodes {
        let _ = writeln!(out, "node {node}");
        for (at, (_, cpus)) in caches.iter().enumerate().filter(|(_, (of, _))| *of == node) {
            let _ = writeln!(out, "  LLC {at:<3} CPUs {}", ranges(cpus));
        }
    }
    out
}

/// Ascending numbers as the kernel writes them: `0-3,8`.
pub fn ranges(cpus: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let shown = runs.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_drawn_below_their_nodes() {
        let text = draw(&[(0, vec![0, 1, 2, 8]), (1, vec![4, 5])]);
        assert_eq!(text, "node 0\n  LLC 0   CPUs 0-2,8\nnode 1\n  LLC 1   CPUs 4-5\n");
    }
}

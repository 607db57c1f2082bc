//! The machine as sysfs shows it (kernel: Documentation/admin-guide/cputopology.rst, ABI/testing/sysfs-devices-node).

use anyhow::{Context as _, Result};
use ktstr_topology::{CpuSeen, NodeSeen, ReadBack, parse_cpu_list};
use std::fs;
use std::path::{Path, PathBuf};

/// Cache levels that x86 enumerates as index0 to index7 at most.
const CACHE_INDEXES: u32 = 8;

/// Reads /sys/devices/system below `root`.
pub fn read(root: &Path) -> Result<ReadBack> {
    let system = root.join("devices/system");
    let possible = list(&system.join("cpu/possible"))?;
    let online = list(&system.join("cpu/online"))?;
    let node_ids = list(&system.join("node/online"))?;
    let nodes: Vec<NodeSeen> = node_ids.iter().map(|n| node(&system, *n)).collect::<Result<_>>()?;
    let cpus = possible
        .iter()
        .map(|&cpu| {
            let on = online.contains(&cpu);
            let home = nodes.iter().find(|n| n.cpus.contains(&cpu)).map_or(0, |n| n.node);
            if on { read_cpu(&system, cpu, home) } else { Ok(CpuSeen { cpu, node: home, ..CpuSeen::default() }) }
        })
        .collect::<Result<_>>()?;
    Ok(ReadBack { cpus, nodes })
}

fn read_cpu(system: &Path, cpu: u32, node: u32) -> Result<CpuSeen> {
    let dir = system.join(format!("cpu/cpu{cpu}"));
    let last = last_cache(&dir);
    Ok(CpuSeen {
        cpu,
        online: true,
        core_id: number(&dir.join("topology/core_id"))?,
        package_id: number(&dir.join("topology/physical_package_id"))?,
        thread_siblings: list(&dir.join("topology/thread_siblings_list"))?,
        llc_level: last.as_ref().map_or(0, |(level, _)| *level),
        llc_cpus: last.map_or(Ok(Vec::new()), |(_, index)| list(&index.join("shared_cpu_list")))?,
        node,
    })
}

/// The cache of the highest level; no cache information at all is `None`.
fn last_cache(cpu: &Path) -> Option<(u32, PathBuf)> {
    (0..CACHE_INDEXES)
        .map(|i| cpu.join(format!("cache/index{i}")))
        .filter_map(|dir| Some((number(&dir.join("level")).ok()?, dir)))
        .max_by_key(|(level, _)| *level)
}

fn node(system: &Path, node: u32) -> Result<NodeSeen> {
    let dir = system.join(format!("node/node{node}"));
    let meminfo = text(&dir.join("meminfo"))?;
    let kib = meminfo
        .lines()
        .find(|l| l.contains("MemTotal:"))
        .and_then(|l| l.split_ascii_whitespace().rev().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    let distances = text(&dir.join("distance"))?;
    Ok(NodeSeen {
        node,
        memory_mib: kib / 1024,
        distances: distances.split_ascii_whitespace().filter_map(|d| d.parse().ok()).collect(),
        cpus: list(&dir.join("cpulist"))?,
    })
}

fn text(path: &Path) -> Result<String> {
    Ok(fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?.trim().to_owned())
}

fn number(path: &Path) -> Result<u32> {
    text(path)?.parse().with_context(|| format!("{} is not a number", path.display()))
}

fn list(path: &Path) -> Result<Vec<u32>> {
    let text = text(path)?;
    parse_cpu_list(&text).with_context(|| format!("{}: `{text}` is not a list", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_cache_level_is_the_last_one_whatever_its_index() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join("devices/system").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("cpu/possible", "0-1\n");
        put("cpu/online", "0\n");
        put("node/online", "0\n");
        put("node/node0/meminfo", "Node 0 MemTotal:         524288 kB\nNode 0 MemFree: 1 kB\n");
        put("node/node0/distance", "10\n");
        put("node/node0/cpulist", "0-1\n");
        put("cpu/cpu0/topology/core_id", "0\n");
        put("cpu/cpu0/topology/physical_package_id", "0\n");
        put("cpu/cpu0/topology/thread_siblings_list", "0\n");
        put("cpu/cpu0/cache/index0/level", "3\n");
        put("cpu/cpu0/cache/index0/shared_cpu_list", "0-1\n");
        put("cpu/cpu0/cache/index1/level", "1\n");
        put("cpu/cpu0/cache/index1/shared_cpu_list", "0\n");
        let seen = read(dir.path()).unwrap();
        assert_eq!((seen.cpus[0].llc_level, seen.cpus[0].llc_cpus.as_slice()), (3, [0, 1].as_slice()));
        assert!(!seen.cpus[1].online);
        assert_eq!(seen.nodes[0].memory_mib, 512);
    }
}

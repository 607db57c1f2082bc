//! Vectors of the topology crate.

use super::{flag, number, text};
use anyhow::{Context as _, Result};
use ktstr_topology::{Topology, TopologyConstraints, vm_memory_mib};
use serde_json::{Value, json};

/// The parsed shape, or null.
pub fn parse(case: &Value) -> Result<Value> {
    let parsed: Result<Topology, _> = text(case, "in")?.parse();
    Ok(parsed.map_or(Value::Null, |t| {
        json!({
            "numa_nodes": t.numa_nodes,
            "llcs": t.llcs,
            "cores_per_llc": t.cores_per_llc,
            "threads_per_core": t.threads_per_core,
            "total_cpus": t.total_cpus(),
        })
    }))
}

/// The sorted names of the accepted presets.
pub fn presets(case: &Value) -> Result<Value> {
    let c = &case["constraints"];
    let bound = |key: &str| {
        if c[key].is_null() { Ok(None) } else { number(c, key).map(Some) }
    };
    let least = |key: &str| bound(key).map(|b| b.unwrap_or(0));
    let constraints = TopologyConstraints {
        min_numa_nodes: least("min_numa_nodes")?,
        max_numa_nodes: bound("max_numa_nodes")?,
        min_llcs: least("min_llcs")?,
        max_llcs: bound("max_llcs")?,
        min_cpus: least("min_cpus")?,
        max_cpus: bound("max_cpus")?,
        requires_smt: flag(c, "requires_smt")?,
    };
    let host = &case["host"];
    let (cpus, llcs) = (number(host, "cpus")?, number(host, "llcs")?);
    let per_llc = number(host, "max_cpus_per_llc").context("host")?;
    let perf = flag(case, "perf_mode")?;
    let mut names: Vec<&str> = ktstr_topology::presets()
        .iter()
        .filter(|p| {
            if perf {
                constraints.accepts(&p.topology, cpus, llcs, per_llc)
            } else {
                constraints.accepts_no_perf_mode(&p.topology, cpus)
            }
        })
        .map(|p| p.name)
        .collect();
    names.sort_unstable();
    Ok(json!(names))
}

/// MiB of memory.
pub fn memory(case: &Value) -> Result<Value> {
    Ok(json!(vm_memory_mib(number(case, "cpus")?, number(case, "entry_mib")?)))
}

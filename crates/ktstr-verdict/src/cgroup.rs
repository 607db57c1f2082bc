//! What the workers of each cgroup did, for the record and for people.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the workers of one cgroup did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CgroupStats {
    /// Its name below the workload's root.
    pub name: String,
    /// Workers in it.
    pub workers: u32,
    /// Iterations of all of them.
    pub iterations: u64,
    /// Longest time one of them made no progress, ms.
    pub max_gap_ms: f64,
    /// Difference between the most and the least served worker, percent of the mean.
    pub spread_pct: f64,
    /// Times a worker was seen on another CPU than before.
    pub migrations: u64,
    /// 99th percentile of wake-up latency, µs; 0 when nothing woke.
    pub p99_wake_us: f64,
    /// Wake-ups measured.
    pub wakes: u64,
    /// CPUs they were seen on since their CPUs changed last.
    pub cpus: Vec<u32>,
    /// Where they were allowed and where they were seen, from each change of their CPUs to the next.
    #[serde(default)]
    pub epochs: Vec<CpuEpoch>,
    /// Iterations of the worker in the middle.
    #[serde(default)]
    pub median_iterations: u64,
    /// Coefficient of variation of the workers' throughput; 0 when there is none.
    #[serde(default)]
    pub throughput_cv: f64,
    /// Iterations a second of all workers.
    #[serde(default)]
    pub iteration_rate: f64,
    /// Iterations a second of CPU time; 0 when no CPU time is known.
    #[serde(default)]
    pub work_rate: f64,
    /// CPU time of all workers, ms.
    #[serde(default)]
    pub run_ms: f64,
    /// Time all workers waited runnable for a CPU, ms.
    #[serde(default)]
    pub run_delay_ms: f64,
    /// Median of wake-up latency, µs; 0 when nothing woke.
    #[serde(default)]
    pub p50_wake_us: f64,
    /// Coefficient of variation of wake-up latency; 0 when nothing woke.
    #[serde(default)]
    pub wake_cv: f64,
    /// Migrations to another node.
    #[serde(default)]
    pub cross_node_migrations: u64,
    /// How long all workers together were on each CPU, ms: from being seen on it first until being seen on another.
    #[serde(default)]
    pub residence_ms: BTreeMap<u32, f64>,
    /// Share of pages on the worker's own node; 0 when no pages are known.
    #[serde(default)]
    pub page_locality: f64,
}

/// A stretch of time in which the CPUs of a cgroup's workers did not change. Times are since the scenario's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuEpoch {
    /// From when.
    pub from_us: u64,
    /// Until when.
    pub to_us: u64,
    /// CPUs they had; empty when nothing held them.
    pub allowed: Vec<u32>,
    /// CPUs they were seen on.
    pub seen: Vec<u32>,
}

/// Columns of the table.
const COLUMNS: usize = 9;
/// The last of them.
const LAST: usize = COLUMNS - 1;
/// Letters of a name that the table has room for.
const NAME: usize = 16;

impl CgroupStats {
    /// One line for each cgroup below a line of headings, columns aligned, for a terminal of 80; "" when there is none. The record
    /// has the other figures.
    #[must_use]
    pub fn table(cgroups: &[Self]) -> String {
        if cgroups.is_empty() {
            return String::new();
        }
        let headings = ["cgroup", "n", "iter/s", "spread %", "gap ms", "p99 µs", "delay ms", "migr", "cpus"];
        let mut rows = vec![headings.map(str::to_owned)];
        rows.extend(cgroups.iter().map(Self::row));
        let widths: Vec<usize> =
            (0..headings.len()).map(|i| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0)).collect();
        let line = |row: &[String; COLUMNS]| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(i, (cell, &width))| match i {
                0 | LAST => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn row(&self) -> [String; COLUMNS] {
        [
            if self.name.chars().count() > NAME {
                self.name.chars().take(NAME - 1).chain(['…']).collect()
            } else {
                self.name.clone()
            },
            self.workers.to_string(),
            format!("{:.0}", self.iteration_rate),
            format!("{:.1}", self.spread_pct),
            format!("{:.1}", self.max_gap_ms),
            if self.wakes == 0 { "-".to_owned() } else { format!("{:.1}", self.p99_wake_us) },
            format!("{:.1}", self.run_delay_ms),
            self.migrations.to_string(),
            ranges(&self.cpus),
        ]
    }
}

/// `0-2,5`, as the kernel writes sets of CPUs.
fn ranges(cpus: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(cpu) => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let text = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_cgroup_and_says_nothing_where_nothing_woke() {
        let spin = CgroupStats { name: "spin".into(), workers: 2, cpus: vec![0, 1, 2, 5], ..CgroupStats::default() };
        let burst = CgroupStats { name: "burst".into(), wakes: 3, p99_wake_us: 12.25, ..CgroupStats::default() };
        let table = CgroupStats::table(&[spin, burst]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines[1].starts_with("spin ") && lines[1].ends_with("0-2,5") && lines[1].contains(" - "), "{table}");
        assert!(lines[2].contains("12.2"), "{table}");
        assert_eq!(CgroupStats::table(&[]), "");
    }

    #[test]
    fn a_record_of_an_older_version_is_read() {
        let old = r#"{"name":"a","workers":1,"iterations":5,"max_gap_ms":1.0,"spread_pct":0.0,"migrations":0,
                      "p99_wake_us":0.0,"wakes":0,"cpus":[0]}"#;
        let read: CgroupStats = serde_json::from_str(old).unwrap();
        assert_eq!((read.iterations, read.median_iterations), (5, 0));
    }
}

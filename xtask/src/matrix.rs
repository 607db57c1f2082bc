//! Scheduler × topology, with times: the demo's last page, for an 80-column terminal.

use ktstr_sidecar::SidecarRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Kernel and scheduler.
type Column = (String, String);
/// Verdict and seconds, by column.
type Row = BTreeMap<Column, (String, f64)>;

/// Verdict and seconds of each cell.
pub struct Matrix {
    columns: Vec<Column>,
    rows: BTreeMap<(u32, String), Row>,
}

impl Matrix {
    /// From the records of a run; host_only tests have no machine and no cell.
    pub fn of(records: &[SidecarRecord]) -> Self {
        let mut columns = BTreeSet::new();
        let mut rows: BTreeMap<(u32, String), Row> = BTreeMap::new();
        for record in records.iter().filter(|r| r.accelerator.is_some()) {
            let kernel = record.kernel_version.clone().unwrap_or_else(|| "?".into());
            let column = (kernel, record.scheduler.clone());
            columns.insert(column.clone());
            let cpus = record.topology.parse::<ktstr_topology::Topology>().map_or(0, |t| t.total_cpus());
            let cell = (record.verdict().to_string(), record.wall_ms as f64 / 1000.0);
            rows.entry((cpus, record.topology.clone())).or_default().insert(column, cell);
        }
        Self { columns: columns.into_iter().collect(), rows }
    }

    /// At least two schedulers, each passing on four topologies.
    pub fn proves_the_demo(&self) -> bool {
        let passing = |column: &&Column| {
            self.rows.values().filter(|row| row.get(*column).is_some_and(|c| c.0 == "PASS")).count() >= 4
        };
        self.columns.iter().filter(passing).map(|c| &c.1).collect::<BTreeSet<_>>().len() >= 2
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 12 columns for the topology and 17 for each cell: three cells to a page keep it below 80.
        for page in self.columns.chunks(3) {
            writeln!(f)?;
            write!(f, "{:<12}{:>5}", "topology", "CPUs")?;
            for (_, scheduler) in page {
                write!(f, "{scheduler:>19}")?;
            }
            write!(f, "\n{:<17}", "")?;
            for (kernel, _) in page {
                write!(f, "{kernel:>19}")?;
            }
            writeln!(f)?;
            for ((cpus, topology), row) in &self.rows {
                write!(f, "{topology:<12}{cpus:>5}")?;
                for column in page {
                    match row.get(column) {
                        Some((word, seconds)) => write!(f, "{:>19}", format!("{word} {seconds:.1} s"))?,
                        None => write!(f, "{:>19}", "-")?,
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

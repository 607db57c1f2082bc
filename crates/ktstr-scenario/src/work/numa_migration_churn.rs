//! Moves itself from node to node and leaves its working set behind.

use super::{KIB, Region, TIMES, Work, nanos, within};
use crate::worker::{CpuMask, Fault, Worker};
use anyhow::Result;
use std::time::Duration;

/// Parameters of [`WorkType::NumaMigrationChurn`](super::WorkType::NumaMigrationChurn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumaMigrationChurn {
    /// Working set of each worker, KiB, 4 to 1,048,576.
    pub kib: u32,
    /// Time on each node, 1 µs to 1 h.
    pub hold: Duration,
}

impl NumaMigrationChurn {
    /// 1 MiB, 5 ms on each node.
    pub const DEFAULT: Self = Self { kib: 1024, hold: Duration::from_millis(5) };
}

impl Work for NumaMigrationChurn {
    fn check(&self) -> Result<()> {
        within("kib", self.kib, KIB)?;
        within("hold", self.hold, TIMES)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let set = Region::private(self.kib)?;
        let mut home = worker.home();
        let mut moves = worker.moves();
        let mut turn = worker.index();
        while worker.running() {
            if worker.moves() != moves {
                moves = worker.moves();
                home = worker.learn_home()?;
            }
            if let Some(cpus) = next_node(worker, &home, turn) {
                match cpus.apply(0) {
                    Ok(()) => worker.event(1),
                    // Just taken away: `moves` will say so.
                    Err(fault) if fault.is_invalid() => {}
                    Err(fault) => return Err(fault),
                }
            }
            turn += 1;
            let until = worker.now_ns().saturating_add(nanos(self.hold));
            while worker.running() && worker.now_ns() < until {
                set.walk();
                worker.progress(1);
            }
        }
        worker.count_pages(&set);
        Ok(())
    }
}

/// What the worker is allowed of the next node; `None` where all that it is allowed lies on one.
fn next_node(worker: &Worker<'_>, home: &CpuMask, turn: usize) -> Option<CpuMask> {
    let nodes = worker.nodes().all();
    let allowed = || nodes.iter().map(|(_, cpus)| CpuMask::these(cpus).and(home)).filter(|cpus| cpus.len() > 0);
    let count = allowed().count();
    if count < 2 { None } else { allowed().nth(turn % count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;
    use crate::worker::Nodes;

    #[test]
    fn it_moves_where_there_are_nodes_and_counts_its_pages() {
        let nodes = Nodes::detect();
        let wanted = if nodes.all().len() > 1 { 3 } else { 0 };
        let work = WorkType::NumaMigrationChurn(NumaMigrationChurn { kib: 64, ..NumaMigrationChurn::DEFAULT });
        for worker in run(&work, 2, |seen| seen.iter().all(|w| w.events >= wanted && w.iterations > 10)) {
            assert!(wanted > 0 || worker.events == 0, "{worker:?}");
            assert_eq!(worker.pages_total, if nodes.all().is_empty() { 0 } else { 16 }, "{worker:?}");
        }
    }
}

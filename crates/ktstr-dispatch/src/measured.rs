//! How long machines took on this host before: the records of earlier sessions, read only when a budget is asked for.

use crate::record::{host_cpu, records_root};
use ktstr_budget::{MeasuredPhases, Secs};
use ktstr_sidecar::{SidecarRecord, read_records};
use std::collections::{BTreeMap, HashMap};

/// Median phases around a workload, by the machine's number of CPUs.
#[derive(Debug, Default)]
pub struct Measured(HashMap<u32, MeasuredPhases>);

impl Measured {
    /// From the records that lie below the records' root, of whatever kernel and commit.
    ///
    /// Whatever cannot be read is as good as not measured: the estimate falls back to its constants.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let root = records_root();
        let below = std::fs::read_dir(&root).into_iter().flatten().flatten().map(|e| e.path());
        let records: Vec<_> = below
            .chain([root.clone()])
            .filter_map(|dir| read_records(&dir).ok())
            .flat_map(|(records, _damaged)| records)
            .collect();
        Self::of(&records, host_cpu().as_deref())
    }

    /// From passed runs on hosts with this CPU model: a failed run's phases say when it failed.
    #[must_use]
    pub fn of(records: &[SidecarRecord], host_cpu: Option<&str>) -> Self {
        let mut taken: BTreeMap<u32, (Vec<Secs>, Vec<Secs>)> = BTreeMap::new();
        for record in records.iter().filter(|r| r.passed && r.host_cpu.as_deref() == host_cpu) {
            let Some(read_back) = &record.topology_read_back else { continue };
            let Ok(cpus) = u32::try_from(read_back.cpus.len()) else { continue };
            let secs = |names: &[&str]| {
                let us = names.iter().map(|n| record.phases_us.get(*n).copied()).sum::<Option<u64>>()?;
                Secs::new(std::time::Duration::from_micros(us).as_secs_f64()).ok()
            };
            if let (Some(before), Some(after)) = (secs(&["boot", "attach"]), secs(&["shutdown"])) {
                let (befores, afters) = taken.entry(cpus).or_default();
                befores.push(before);
                afters.push(after);
            }
        }
        let phases = taken.into_iter().filter_map(|(cpus, (before, after))| {
            Some((cpus, MeasuredPhases { before: median(before)?, after: median(after)? }))
        });
        Self(phases.collect())
    }

    /// Of machines with so many CPUs, if any were seen.
    #[must_use]
    pub fn of_cpus(&self, cpus: u32) -> Option<MeasuredPhases> {
        self.0.get(&cpus).copied()
    }
}

fn median(mut seconds: Vec<Secs>) -> Option<Secs> {
    seconds.sort_unstable();
    seconds.get(seconds.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_topology::Topology;
    use ktstr_verdict::Verdict;

    fn run(verdict: Verdict, host: &str, boot_us: u64) -> SidecarRecord {
        let topology = Topology::new(1, 2, 2, 1).unwrap();
        let mut record = SidecarRecord::new("t", &topology.to_string(), "eevdf", verdict);
        record.host_cpu = Some(host.to_owned());
        record.topology_read_back = Some(topology.ideal_read_back());
        let phases = [("boot", boot_us), ("attach", 500_000), ("test", 9_000_000), ("shutdown", 1_000_000)];
        record.phases_us = phases.map(|(name, us)| (name.to_owned(), us)).into();
        record
    }

    #[test]
    fn the_median_of_passed_runs_on_this_host_counts() {
        let records = [
            run(Verdict::Pass, "a", 2_000_000),
            run(Verdict::Pass, "a", 3_000_000),
            run(Verdict::Pass, "a", 90_000_000),
            run(Verdict::Fail, "a", 1),
            run(Verdict::Pass, "b", 1),
        ];
        let measured = Measured::of(&records, Some("a"));
        let phases = measured.of_cpus(4).unwrap();
        assert_eq!((phases.before.get(), phases.after.get()), (3.5, 1.0));
        assert_eq!(measured.of_cpus(8), None);
    }

    #[test]
    fn a_record_without_phases_measures_nothing() {
        let mut record = run(Verdict::Pass, "a", 1);
        record.phases_us.clear();
        assert_eq!(Measured::of(&[record], Some("a")).of_cpus(4), None);
    }
}

//! What can be said of one sample, or of one and the next: named figures, each with the CPU it belongs to.

use super::parse::RunQueue;
use super::sample::{Read, Sample};
use crate::assert::float;
use std::collections::BTreeMap;

/// One figure of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    /// Its value.
    pub value: f64,
    /// The CPU it belongs to.
    pub cpu: Option<u32>,
}

/// Most tasks on a run queue for each on another, an empty one counting as one task; `None` where nothing could be compared:
/// one CPU, or nothing to run anywhere.
pub(super) fn imbalance(sample: &Sample) -> Option<Read<Option<Figure>>> {
    let queues = match sample.queues.as_ref()? {
        Ok(queues) => queues,
        Err(why) => return Some(Err(why.clone())),
    };
    let most = queues.iter().max_by_key(|q| q.tasks);
    let least = queues.iter().map(|q| q.tasks).min();
    Some(Ok(match (most, least) {
        (Some(most), Some(least)) if queues.len() > 1 && most.tasks > 0 => {
            Some(Figure { value: float(most.tasks) / float(least.max(1)), cpu: Some(most.cpu) })
        }
        _ => None,
    }))
}

/// The longest local dispatch queue; a dump that names no CPU is one of an idle machine.
pub(super) fn local_depth(sample: &Sample) -> Option<Read<Option<Figure>>> {
    let depths = match sample.local_dsqs.as_ref()? {
        Ok(depths) => depths,
        Err(why) => return Some(Err(why.clone())),
    };
    let deepest = depths.iter().max_by_key(|(_, depth)| *depth);
    Some(Ok(Some(
        deepest
            .map_or(Figure { value: 0.0, cpu: None }, |(cpu, depth)| Figure { value: float(*depth), cpu: Some(*cpu) }),
    )))
}

/// How often an event happened each second between two samples; `None` where the counters began anew.
pub(super) fn event_rate(name: &str, before: &Sample, after: &Sample) -> Read<Option<Figure>> {
    let (a, b) = match (&before.events, &after.events) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(why), _) | (_, Err(why)) => return Err(why.clone()),
    };
    let missing = || format!("root/events of this kernel has no {name}");
    let (a, b) = (counter(a, name).ok_or_else(missing)?, counter(b, name).ok_or_else(missing)?);
    if before.enable_seq != after.enable_seq || b < a || after.at_ns <= before.at_ns {
        return Ok(None);
    }
    Ok(Some(Figure { value: float(b.abs_diff(a)) * 1e9 / float(after.at_ns - before.at_ns), cpu: None }))
}

fn counter(events: &BTreeMap<String, i64>, name: &str) -> Option<i64> {
    events.get(name).copied()
}

/// The CPU that tasks waited for most between two samples, percent of the time; above 100 when several waited.
pub(super) fn run_delay_pct(before: &Sample, after: &Sample) -> Option<Figure> {
    let (a, b) = (before.cpus.as_ref().ok()?, after.cpus.as_ref().ok()?);
    let time = after.at_ns.checked_sub(before.at_ns).filter(|t| *t > 0)?;
    let waited = b.iter().filter_map(|after| {
        let before = a.iter().find(|c| c.cpu == after.cpu)?;
        Some((after.run_delay_ns.checked_sub(before.run_delay_ns)?, after.cpu))
    });
    let (waited, cpu) = waited.max()?;
    Some(Figure { value: float(waited) * 100.0 / float(time), cpu: Some(cpu) })
}

/// CPUs that ran something in both samples while their run queue's clock stood still.
pub(super) fn stuck_clocks(before: &Sample, after: &Sample) -> Option<Read<Vec<u32>>> {
    let (a, b) = match (before.queues.as_ref()?, after.queues.as_ref()?) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(why), _) | (_, Err(why)) => return Some(Err(why.clone())),
    };
    let stands = |before: &RunQueue, after: &RunQueue| {
        before.cpu == after.cpu && before.running_pid != 0 && before.clock_ns == after.clock_ns
    };
    let stuck = b.iter().filter(|after| after.running_pid != 0 && a.iter().any(|before| stands(before, after)));
    Some(Ok(stuck.map(|q| q.cpu).collect()))
}

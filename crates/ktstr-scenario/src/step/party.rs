//! A crew in its cgroup: where its workers may be seen, from when to when, and what is made of it.

use super::world::World;
use crate::assert::{Assert, check_group};
use crate::worker::Crew;
use ktstr_verdict::{AssertResult, CheckKind, CpuEpoch, Detail, Outcome};
use std::collections::BTreeSet;
use std::time::Duration;

/// CPUs of each worker; an empty list is no limit.
pub type Allowed = Vec<Vec<u32>>;

/// A stretch of time in which the workers' CPUs did not change.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Since the scenario's start.
    pub from: Duration,
    /// Since the scenario's start.
    pub to: Duration,
    /// Where each worker was allowed.
    pub allowed: Allowed,
    /// Where each worker was seen.
    pub seen: Vec<Vec<u32>>,
}

/// A crew that runs.
pub struct Party {
    /// How results call it.
    pub label: String,
    /// Where it is; `None` outside of all cgroups.
    pub group: Option<String>,
    /// Its workers.
    pub crew: Crew,
    /// CPUs each worker is bound to; empty where it is not.
    pub affinity: Allowed,
    /// When it was started, since the scenario's start.
    pub from: Duration,
    /// When its CPUs changed last.
    since: Duration,
    epochs: Vec<Epoch>,
    /// When it was frozen, while it is.
    frozen_at: Option<Duration>,
    frozen_for: Duration,
}

impl Party {
    /// A crew that has been gathered.
    pub fn new(label: String, group: Option<String>, crew: Crew, affinity: Allowed, from: Duration) -> Self {
        Self {
            label,
            group,
            crew,
            affinity,
            from,
            since: from,
            epochs: Vec::new(),
            frozen_at: None,
            frozen_for: Duration::ZERO,
        }
    }

    /// It is let go now.
    pub fn start(&mut self, now: Duration) {
        self.from = now;
        self.since = now;
        self.crew.start();
    }

    /// Where each worker may be seen.
    pub fn allowed(&self, world: &World) -> Allowed {
        allowed(world, self.group.as_deref(), &self.affinity, self.crew.pids().len())
    }

    /// Its CPUs change: what was seen so far is judged by `allowed`.
    pub fn close(&mut self, allowed: Allowed, now: Duration) {
        let seen = self.crew.moved();
        self.epochs.push(Epoch { from: self.since, to: now, allowed, seen });
        self.since = now;
    }

    /// It is frozen.
    pub fn freeze(&mut self, now: Duration) {
        self.crew.rest();
        self.frozen_at = Some(now);
    }

    /// It is about to go on.
    pub fn thaw(&mut self, now: Duration) {
        self.crew.resume();
        self.frozen_for += self.frozen_at.take().map_or(Duration::ZERO, |at| now.saturating_sub(at));
    }

    /// Ends it and judges it.
    pub fn finish(self, world: &World, now: Duration, assert: &Assert) -> Judged {
        let allowed = self.allowed(world);
        let ran = now.saturating_sub(self.from).saturating_sub(self.frozen_for);
        let seen = match self.crew.stop() {
            Ok(seen) => seen,
            Err(e) => {
                let message = format!("cgroup `{}`: {e:#}", self.label);
                let outcome = Outcome::Fail { detail: Detail::new(CheckKind::Progress, message) };
                let mut result = AssertResult::default();
                result.push(outcome);
                return Judged { result, standstill: now, escape: (self.from, now) };
            }
        };
        let gap = seen.iter().max_by_key(|w| w.gap_ns).map_or(0, |w| w.gap_at_ns);
        // Isolation is judged here, where the CPUs have a time.
        let rest = Assert { isolation: None, ..*assert };
        let mut result = check_group(&self.label, &seen, &[], ran, &rest);
        let mut epochs = self.epochs;
        let last = seen.iter().map(|w| w.cpus.clone()).collect();
        epochs.push(Epoch { from: self.since, to: now, allowed, seen: last });
        if assert.isolation == Some(true) {
            result.push(isolation(&self.label, &epochs));
        }
        if let Some(stats) = result.cgroups.last_mut() {
            stats.epochs = epochs.iter().map(stats_of).collect();
        }
        let escape = epochs.iter().find(|epoch| !epoch.escapes(&self.label).is_empty());
        let escape = escape.map_or((self.from, now), |epoch| (epoch.from, epoch.to));
        Judged { result, standstill: self.from + Duration::from_nanos(gap), escape }
    }
}

/// What is made of a crew, and when what may be wrong with it was. Times are since the scenario's start.
pub struct Judged {
    /// Its outcomes and figures.
    pub result: AssertResult,
    /// End of its longest standstill.
    pub standstill: Duration,
    /// When it first was where it must not be.
    pub escape: (Duration, Duration),
}

impl Epoch {
    /// Every worker that was seen where it must not be, with its CPUs and the time.
    fn escapes(&self, label: &str) -> Vec<String> {
        let mut escapes = Vec::new();
        for (i, (seen, allowed)) in self.seen.iter().zip(&self.allowed).enumerate() {
            let outside: Vec<u32> = seen.iter().copied().filter(|cpu| !allowed.contains(cpu)).collect();
            if !allowed.is_empty() && !outside.is_empty() {
                escapes.push(format!(
                    "cgroup `{label}`: worker {i}: seen on CPUs {outside:?} outside {allowed:?}, which it had from {:.3} to \
                     {:.3} s (isolation)",
                    self.from.as_secs_f64(),
                    self.to.as_secs_f64()
                ));
            }
        }
        escapes
    }
}

/// CPUs of `workers` workers in a cgroup: what it has of those they are bound to, and all it has where that is none
/// (kernel/sched/core.c, `__set_cpus_allowed_ptr`).
pub fn allowed(world: &World, group: Option<&str>, affinity: &[Vec<u32>], workers: usize) -> Allowed {
    let limited = group.is_some_and(|name| world.is_limited(name));
    let all = world.allowed(group);
    (0..workers)
        .map(|i| {
            let bound = affinity.get(i).map_or(&[][..], Vec::as_slice);
            let both: Vec<u32> = all.iter().copied().filter(|cpu| bound.contains(cpu)).collect();
            if !both.is_empty() {
                both
            } else if limited || !bound.is_empty() {
                all.clone()
            } else {
                Vec::new()
            }
        })
        .collect()
}

/// While CPUs change, workers may be seen on the old ones, the new ones, and `more`.
pub fn either(before: &[Vec<u32>], after: &[Vec<u32>], more: &[u32]) -> Allowed {
    let both = before.iter().zip(after).map(|(before, after)| {
        if before.is_empty() || after.is_empty() {
            return Vec::new();
        }
        let set: BTreeSet<u32> = before.iter().chain(after).chain(more).copied().collect();
        set.into_iter().collect()
    });
    both.collect()
}

/// One outcome for all epochs.
pub fn isolation(label: &str, epochs: &[Epoch]) -> Outcome {
    let broken: Vec<String> = epochs.iter().flat_map(|epoch| epoch.escapes(label)).collect();
    let limited = || epochs.iter().filter(|epoch| epoch.allowed.iter().any(|cpus| !cpus.is_empty()));
    if !broken.is_empty() {
        Outcome::Fail { detail: Detail::new(CheckKind::Isolation, broken.join("\n")) }
    } else if limited().next().is_some() && limited().all(|epoch| epoch.seen.iter().all(Vec::is_empty)) {
        let message = format!("cgroup `{label}`: no worker was seen on any CPU (isolation)");
        Outcome::Inconclusive { detail: Detail::new(CheckKind::Isolation, message) }
    } else {
        Outcome::Pass
    }
}

fn stats_of(epoch: &Epoch) -> CpuEpoch {
    let all = |sets: &[Vec<u32>]| sets.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let micros = |t: Duration| u64::try_from(t.as_micros()).unwrap_or(u64::MAX);
    CpuEpoch {
        from_us: micros(epoch.from),
        to_us: micros(epoch.to),
        allowed: if epoch.allowed.iter().any(Vec::is_empty) { Vec::new() } else { all(&epoch.allowed) },
        seen: all(&epoch.seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_topology::Topology;

    fn epoch(allowed: &[u32], seen: &[u32]) -> Epoch {
        let ms = Duration::from_millis;
        Epoch { from: ms(250), to: ms(500), allowed: vec![allowed.to_vec()], seen: vec![seen.to_vec()] }
    }

    #[test]
    fn an_escape_in_an_earlier_epoch_is_found_and_has_worker_cpu_and_time() {
        let outcome = isolation("a", &[epoch(&[0], &[0, 2]), epoch(&[2], &[2])]);
        let want = "cgroup `a`: worker 0: seen on CPUs [2] outside [0], which it had from 0.250 to 0.500 s (isolation)";
        assert_eq!(outcome.text(), want);
        assert_eq!(isolation("a", &[epoch(&[0, 2], &[0, 2]), epoch(&[], &[7])]), Outcome::Pass);
    }

    #[test]
    fn workers_that_were_seen_nowhere_prove_no_isolation() {
        let unseen = isolation("a", &[epoch(&[0], &[]), epoch(&[], &[3])]);
        assert!(matches!(unseen, Outcome::Inconclusive { .. }), "{unseen:?}");
        assert_eq!(isolation("a", &[epoch(&[0], &[0]), epoch(&[1], &[])]), Outcome::Pass);
        assert_eq!(isolation("a", &[epoch(&[], &[])]), Outcome::Pass);
    }

    #[test]
    fn a_worker_bound_to_cpus_its_cgroup_lost_may_be_on_all_that_it_has() {
        let world = World::new(&Topology::new(1, 1, 4, 1).unwrap(), false);
        assert_eq!(allowed(&world, None, &[vec![1], vec![9], vec![]], 3), [vec![1], vec![0, 1, 2, 3], vec![]]);
    }

    #[test]
    fn while_cpus_change_both_sets_hold_and_no_limit_stays_none() {
        assert_eq!(either(&[vec![0], vec![]], &[vec![2], vec![1]], &[5]), [vec![0, 2, 5], vec![]]);
    }
}

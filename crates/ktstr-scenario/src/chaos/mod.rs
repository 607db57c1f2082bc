//! Perturbations drawn from a seed: a machine that nobody disturbs shows one interleaving only.
//!
//! Each is an entry of a list that the seed decides, so that single ones can be left out when a failure is shrunk. A perturber
//! is a thread of `SCHED_FIFO` on one CPU: for as long as it spins, whatever the scheduler under test had there waits. One more
//! thread confines a process that the test waits for to one of its CPUs, and lets it go again.

mod perturbers;

use crate::random::Random;
use ktstr_topology::Topology;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

pub use perturbers::Perturbers;

/// Perturbations of one run, at most: a long test is perturbed less often at its end rather than without bound.
pub const MOST: u32 = 65_536;

/// How much is perturbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    #[default]
    Off,
    /// Each CPU busy about every 20 ms, for 50 to 500 µs; a process confined about every 50 ms, for 1 to 10 ms.
    Low,
    /// Each CPU busy about every 4 ms, for 20 µs to 2 ms; a process confined about every 10 ms, for 0.5 to 10 ms.
    High,
}

impl Level {
    const fn ranges(self) -> Option<(Range, Range)> {
        match self {
            Self::Off => None,
            Self::Low => Some((Range(40_000, 50, 500), Range(90_000, 1_000, 10_000))),
            Self::High => Some((Range(6_000, 20, 2_000), Range(10_000, 500, 10_000))),
        }
    }
}

/// Longest pause between two, shortest and longest time of one; µs.
struct Range(u64, u64, u64);

/// What decides the perturbations of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chaos {
    /// All chance is drawn from it.
    pub seed: u64,
    /// How much.
    pub level: Level,
    /// Only these entries of the list; all when `None`.
    #[serde(default)]
    pub keep: Option<Vec<u32>>,
}

impl fmt::Display for Chaos {
    /// `off`, `high`, or `high, only 3,7` as `KTSTR_CHAOS` and `KTSTR_CHAOS_KEEP` take them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Off => "off",
            Level::Low => "low",
            Level::High => "high",
        })?;
        match self.keep.as_deref() {
            None => Ok(()),
            Some([]) => f.write_str(", only none"),
            Some(keep) => {
                let words: Vec<String> =
                    runs_of(keep).map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect();
                write!(f, ", only {}", words.join(","))
            }
        }
    }
}

/// Numbers that follow each other, as first and last.
fn runs_of(numbers: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b)).filter_map(|run| Some((*run.first()?, *run.last()?)))
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The CPU runs nothing else.
    Busy,
    /// A process, drawn by this number among those that the test waits for, may run on this CPU only; where it may not run
    /// anyway, nothing.
    Confined(u32),
}

/// One perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perturbation {
    /// Its place in the list.
    pub index: u32,
    /// What is done.
    pub what: What,
    /// Where.
    pub cpu: u32,
    /// When, since the start.
    pub at: Duration,
    /// For how long.
    pub length: Duration,
}

impl fmt::Display for Perturbation {
    /// `17: CPU 2 busy at 134.512 ms for 1.203 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        match self.what {
            What::Busy => write!(f, "{}: CPU {} busy", self.index, self.cpu)?,
            What::Confined(_) => write!(f, "{}: a process confined to CPU {}", self.index, self.cpu)?,
        }
        write!(f, " at {:.3} ms for {:.3} ms", ms(self.at), ms(self.length))
    }
}

impl Chaos {
    /// The list for these CPUs and this time, in order of their instants; what is left out is not in it, and changes no other.
    #[must_use]
    pub fn plan(&self, cpus: &[u32], duration: Duration) -> Vec<Perturbation> {
        let Some((busy, confined)) = self.level.ranges() else {
            return Vec::new();
        };
        let end = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut all = Vec::new();
        for &cpu in cpus {
            let mut dice = Random::new(self.seed ^ (u64::from(cpu) << 32));
            draw(&mut all, &mut dice, &busy, end, |_| (What::Busy, cpu));
        }
        // One stream for the whole machine, apart from every CPU's.
        let mut dice = Random::new(!self.seed);
        if let Some(last) = cpus.len().checked_sub(1) {
            draw(&mut all, &mut dice, &confined, end, |dice| {
                let process = u32::try_from(dice.next() >> 32).unwrap_or(0);
                let place = usize::try_from(dice.between(0, last as u64)).unwrap_or(0);
                (What::Confined(process), cpus[place])
            });
        }
        all.sort_by_key(|p| (p.at, p.what, p.cpu));
        for (index, entry) in (0..).zip(&mut all) {
            entry.index = index;
        }
        if let Some(keep) = &self.keep {
            all.retain(|p| keep.contains(&p.index));
        }
        all
    }

    /// The list for a machine: every CPU that is online.
    #[must_use]
    pub fn plan_on(&self, topology: &Topology, duration: Duration) -> Vec<Perturbation> {
        let cpus: Vec<u32> = (0..topology.total_cpus()).filter(|cpu| topology.is_online(*cpu)).collect();
        self.plan(&cpus, duration)
    }
}

/// Entries one after the other until the end, on what `which` says.
fn draw(
    all: &mut Vec<Perturbation>,
    dice: &mut Random,
    Range(pause, shortest, longest): &Range,
    end: u64,
    which: impl Fn(&mut Random) -> (What, u32),
) {
    let mut at = dice.between(0, *pause);
    while at < end && all.len() < MOST as usize {
        let length = dice.between(*shortest, *longest);
        let (what, cpu) = which(dice);
        all.push(Perturbation {
            index: 0,
            what,
            cpu,
            at: Duration::from_micros(at),
            length: Duration::from_micros(length),
        });
        at += length + dice.between(1, *pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chaos(seed: u64, level: Level, keep: Option<Vec<u32>>) -> Chaos {
        Chaos { seed, level, keep }
    }

    proptest! {
        #[test]
        fn a_seed_gives_one_list_in_order_and_in_time(seed in any::<u64>(), cpus in 1u32..9, ms in 1u64..3000) {
            let cpus: Vec<u32> = (0..cpus).collect();
            let duration = Duration::from_millis(ms);
            let plan = chaos(seed, Level::High, None).plan(&cpus, duration);
            prop_assert_eq!(&plan, &chaos(seed, Level::High, None).plan(&cpus, duration));
            prop_assert!(plan.iter().all(|p| p.at < duration && p.length <= Duration::from_millis(10)));
            prop_assert!(plan.is_sorted_by_key(|p| p.at));
            prop_assert!(plan.iter().zip(0..).all(|(p, i)| p.index == i));
            prop_assert!(plan.iter().all(|p| cpus.contains(&p.cpu)));
            // On one CPU they never overlap.
            for cpu in cpus {
                let own: Vec<_> = plan.iter().filter(|p| p.cpu == cpu && p.what == What::Busy).collect();
                prop_assert!(own.windows(2).all(|w| w[0].at + w[0].length < w[1].at));
            }
        }

        #[test]
        fn what_is_left_out_changes_no_other(seed in any::<u64>(), keep in prop::collection::vec(0u32..50, 0..20)) {
            let duration = Duration::from_millis(500);
            let all = chaos(seed, Level::High, None).plan(&[0, 1], duration);
            let some = chaos(seed, Level::High, Some(keep.clone())).plan(&[0, 1], duration);
            let wanted: Vec<_> = all.into_iter().filter(|p| keep.contains(&p.index)).collect();
            prop_assert_eq!(some, wanted);
        }
    }

    #[test]
    fn what_is_kept_is_said_as_it_is_asked_for() {
        let said = |keep: &[u32]| chaos(1, Level::High, Some(keep.to_vec())).to_string();
        assert_eq!(said(&[0, 1, 2, 3, 7, 9, 10]), "high, only 0-3,7,9-10");
        assert_eq!((said(&[]), chaos(1, Level::Low, None).to_string()), ("high, only none".into(), "low".into()));
    }

    #[test]
    fn another_seed_is_another_list_and_off_is_none() {
        let of = |seed, level| chaos(seed, level, None).plan(&[0, 1], Duration::from_secs(1));
        assert_ne!(of(1, Level::Low), of(2, Level::Low));
        assert!(of(1, Level::Off).is_empty() && of(1, Level::High).len() > of(1, Level::Low).len());
    }
}

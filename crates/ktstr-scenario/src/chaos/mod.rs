//! Perturbations drawn from a seed: a machine that nobody disturbs shows one interleaving only.
//!
//! Each is an entry of a list that the seed decides, so that single ones can be left out when a failure is shrunk. A perturber
//! is a thread of `SCHED_FIFO` on one CPU: for as long as it spins, whatever the scheduler under test had there waits. One more
//! thread confines a process that the test waits for to one of its CPUs, and lets it go again, and takes CPUs away where that
//! was asked for. What workers draw and in which order they start is decided as they begin.

mod hotplug;
mod perturbers;
mod workers;

use crate::random::Random;
use ktstr_topology::Topology;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

pub(crate) use hotplug::belongs_to_the_test;
pub use perturbers::Perturbers;
pub(crate) use workers::{next_order, salt};

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
    const fn ranges(self) -> Option<Ranges> {
        match self {
            Self::Off => None,
            Self::Low => Some(Ranges {
                busy: Range(40_000, 50, 500),
                confined: Range(90_000, 1_000, 10_000),
                offline: Range(400_000, 5_000, 50_000),
                apart: 50,
            }),
            Self::High => Some(Ranges {
                busy: Range(6_000, 20, 2_000),
                confined: Range(10_000, 500, 10_000),
                offline: Range(150_000, 2_000, 30_000),
                apart: 500,
            }),
        }
    }
}

/// How a level perturbs.
struct Ranges {
    busy: Range,
    confined: Range,
    offline: Range,
    /// Longest time between the starts of two workers, µs.
    apart: u64,
}

/// Longest pause between two, shortest and longest time of one; µs.
struct Range(u64, u64, u64);

/// Crews whose workers may start in an order of their own; later ones start as ever.
const CREWS: u32 = 8;

/// What decides the perturbations of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chaos {
    /// All chance is drawn from it.
    pub seed: u64,
    /// How much.
    pub level: Level,
    /// CPUs are taken offline and brought back as well; not every scheduler is made for that.
    #[serde(default)]
    pub hotplug: bool,
    /// Only these entries of the list; all when `None`.
    #[serde(default)]
    pub keep: Option<Vec<u32>>,
}

impl fmt::Display for Chaos {
    /// `off`, `high`, `high+hotplug`, or `high, only 3,7` as `KTSTR_CHAOS` and `KTSTR_CHAOS_KEEP` take them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Off => "off",
            Level::Low => "low",
            Level::High => "high",
        })?;
        if self.hotplug {
            f.write_str("+hotplug")?;
        }
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
    /// Workers draw their own numbers from this one.
    Numbers {
        /// Any number.
        salt: u64,
    },
    /// The workers of one crew start one after the other, as far apart as the perturbation is long.
    Order {
        /// Which crew, counted from 0 as they start.
        crew: u32,
        /// What their order is drawn from.
        draw: u64,
    },
    /// A CPU runs nothing else.
    Busy {
        /// Which.
        cpu: u32,
    },
    /// A process may run on one CPU only; where it may not run anyway, nothing.
    Confined {
        /// Draws it among those that the test waits for.
        pick: u32,
        /// Which CPU.
        cpu: u32,
    },
    /// A CPU is offline; one that somebody needs stays, and so do all once the test itself has taken one down.
    Offline {
        /// Which.
        cpu: u32,
    },
}

/// One perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perturbation {
    /// Its place in the list.
    pub index: u32,
    /// What is done.
    pub what: What,
    /// When, since the start.
    pub at: Duration,
    /// For how long.
    pub length: Duration,
}

impl fmt::Display for Perturbation {
    /// `17: CPU 2 busy at 134.512 ms for 1.203 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        let (at, length) = (ms(self.at), ms(self.length));
        write!(f, "{}: ", self.index)?;
        match self.what {
            What::Numbers { salt } => write!(f, "workers draw from {salt:#x}"),
            What::Order { crew, draw } => {
                write!(f, "the workers of crew {crew} start {length:.3} ms apart, in order {draw:#x}")
            }
            What::Busy { cpu } => write!(f, "CPU {cpu} busy at {at:.3} ms for {length:.3} ms"),
            What::Confined { cpu, .. } => {
                write!(f, "a process confined to CPU {cpu} at {at:.3} ms for {length:.3} ms")
            }
            What::Offline { cpu } => write!(f, "CPU {cpu} offline at {at:.3} ms for {length:.3} ms"),
        }
    }
}

impl Chaos {
    /// The list for these CPUs and this time, in order of their instants; what is left out is not in it, and changes no other.
    #[must_use]
    pub fn plan(&self, cpus: &[u32], duration: Duration) -> Vec<Perturbation> {
        let Some(ranges) = self.level.ranges() else {
            return Vec::new();
        };
        let end = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut all = Vec::new();
        for &cpu in cpus {
            let mut dice = Random::new(self.seed ^ (u64::from(cpu) << 32));
            draw(&mut all, &mut dice, &ranges.busy, end, |_| What::Busy { cpu });
        }
        // Streams for the whole machine, apart from every CPU's and from each other.
        let mut dice = Random::new(!self.seed);
        if !cpus.is_empty() {
            draw(&mut all, &mut dice, &ranges.confined, end, |dice| {
                let pick = u32::try_from(dice.next() >> 32).unwrap_or(0);
                What::Confined { pick, cpu: one_of(dice, cpus) }
            });
        }
        let mut dice = Random::new(!self.seed.rotate_left(32));
        self.beginnings(&mut all, &mut dice, ranges.apart);
        // The first CPU cannot be taken away (kernel: CONFIG_BOOTPARAM_HOTPLUG_CPU0 is gone since 6.5).
        let others: Vec<u32> = cpus.iter().copied().filter(|cpu| *cpu != 0).collect();
        if self.hotplug && !others.is_empty() {
            draw(&mut all, &mut dice, &ranges.offline, end, |dice| What::Offline { cpu: one_of(dice, &others) });
        }
        all.sort_by_key(|p| (p.at, p.what));
        for (index, entry) in (0..).zip(&mut all) {
            entry.index = index;
        }
        if let Some(keep) = &self.keep {
            all.retain(|p| keep.contains(&p.index));
        }
        all
    }

    /// What workers draw from, and the order in which they start.
    fn beginnings(&self, all: &mut Vec<Perturbation>, dice: &mut Random, apart: u64) {
        let mut add = |what, us| {
            let length = Duration::from_micros(us);
            all.push(Perturbation { index: 0, what, at: Duration::ZERO, length });
        };
        add(What::Numbers { salt: dice.next() }, 0);
        for crew in 0..CREWS {
            let draw = dice.next();
            add(What::Order { crew, draw }, dice.between(0, apart));
        }
    }

    /// The list for a machine: every CPU that is online.
    #[must_use]
    pub fn plan_on(&self, topology: &Topology, duration: Duration) -> Vec<Perturbation> {
        let cpus: Vec<u32> = (0..topology.total_cpus()).filter(|cpu| topology.is_online(*cpu)).collect();
        self.plan(&cpus, duration)
    }
}

fn one_of(dice: &mut Random, cpus: &[u32]) -> u32 {
    cpus[dice.below(u32::try_from(cpus.len()).unwrap_or(u32::MAX)) as usize]
}

/// Entries one after the other until the end, of what `which` says.
fn draw(
    all: &mut Vec<Perturbation>,
    dice: &mut Random,
    Range(pause, shortest, longest): &Range,
    end: u64,
    which: impl Fn(&mut Random) -> What,
) {
    let mut at = dice.between(0, *pause);
    while at < end && all.len() < MOST as usize {
        let length = dice.between(*shortest, *longest);
        let what = which(dice);
        all.push(Perturbation { index: 0, what, at: Duration::from_micros(at), length: Duration::from_micros(length) });
        at += length + dice.between(1, *pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chaos(seed: u64, level: Level, keep: Option<Vec<u32>>) -> Chaos {
        Chaos { seed, level, hotplug: false, keep }
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
            // On one CPU they never overlap.
            for &cpu in &cpus {
                let own: Vec<_> = plan.iter().filter(|p| p.what == What::Busy { cpu }).collect();
                prop_assert!(own.windows(2).all(|w| w[0].at + w[0].length < w[1].at));
            }
            let fits = |p: &Perturbation| match p.what {
                What::Busy { cpu } | What::Confined { cpu, .. } => cpus.contains(&cpu),
                What::Numbers { .. } | What::Order { .. } => p.at == Duration::ZERO,
                What::Offline { .. } => false,
            };
            prop_assert!(plan.iter().all(fits));
        }

        #[test]
        fn cpus_are_taken_away_only_when_asked_for_and_never_the_first_or_two_at_once(seed in any::<u64>(), cpus in 1u32..9) {
            let cpus: Vec<u32> = (0..cpus).collect();
            let asked = Chaos { hotplug: true, ..chaos(seed, Level::High, None) };
            let mut plan = asked.plan(&cpus, Duration::from_secs(3));
            let down: Vec<_> = plan.iter().copied().filter(|p| matches!(p.what, What::Offline { .. })).collect();
            prop_assert!(down.is_empty() == (cpus.len() == 1));
            let may_go = |p: &Perturbation| matches!(p.what, What::Offline { cpu } if cpu != 0 && cpus.contains(&cpu));
            prop_assert!(down.iter().all(may_go));
            prop_assert!(down.windows(2).all(|w| w[0].at + w[0].length < w[1].at));
            // The others are what they are without, but for their numbers.
            plan.retain(|p| !matches!(p.what, What::Offline { .. }));
            let without = chaos(seed, Level::High, None).plan(&cpus, Duration::from_secs(3));
            prop_assert!(plan.iter().zip(&without).all(|(a, b)| (a.what, a.at, a.length) == (b.what, b.at, b.length)));
            prop_assert_eq!(plan.len(), without.len());
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
        let hotplug = Chaos { hotplug: true, ..chaos(1, Level::Low, Some(vec![4])) };
        assert_eq!(hotplug.to_string(), "low+hotplug, only 4");
    }

    #[test]
    fn another_seed_is_another_list_and_off_is_none() {
        let of = |seed, level| chaos(seed, level, None).plan(&[0, 1], Duration::from_secs(1));
        assert_ne!(of(1, Level::Low), of(2, Level::Low));
        assert!(of(1, Level::Off).is_empty() && of(1, Level::High).len() > of(1, Level::Low).len());
    }
}

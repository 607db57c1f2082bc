//! Perturbations drawn from a seed: a machine that nobody disturbs shows one interleaving only.
//!
//! Each is an entry of a list that the seed decides, so that single ones can be left out when a failure is shrunk. A perturber
//! is a thread of `SCHED_FIFO` on one CPU: for as long as it spins, whatever the scheduler under test had there waits.

use anyhow::{Context as _, Result};
use ktstr_topology::Topology;
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::Timespec;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::worker::now_ns;

/// Perturbations of one run, at most: a long test is perturbed less often at its end rather than without bound.
pub const MOST: u32 = 65_536;
/// Priority of perturbers: above every ordinary task, below the kernel's own stoppers.
const PRIORITY: i32 = 50;
/// Longest single sleep before the end is looked for, ns.
const LOOK_AFTER_NS: u64 = 20_000_000;

/// How much is perturbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    #[default]
    Off,
    /// Each CPU about every 20 ms, for 50 to 500 µs.
    Low,
    /// Each CPU about every 3 ms, for 20 µs to 2 ms.
    High,
}

impl Level {
    /// Longest pause between two on one CPU, and shortest and longest spin; µs.
    const fn ranges(self) -> Option<(u64, u64, u64)> {
        match self {
            Self::Off => None,
            Self::Low => Some((40_000, 50, 500)),
            Self::High => Some((6_000, 20, 2_000)),
        }
    }
}

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

/// One perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perturbation {
    /// Its place in the list.
    pub index: u32,
    /// Where.
    pub cpu: u32,
    /// When, since the start.
    pub at: Duration,
    /// For how long.
    pub spin: Duration,
}

impl fmt::Display for Perturbation {
    /// `17: CPU 2 busy at 134.512 ms for 1.203 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        write!(f, "{}: CPU {} busy at {:.3} ms for {:.3} ms", self.index, self.cpu, ms(self.at), ms(self.spin))
    }
}

/// A sequence that a seed decides (splitmix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Its next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low.saturating_add(self.roll() % span)
    }
}

impl Chaos {
    /// The list for these CPUs and this time, in order of their instants; what is left out is not in it, and changes no other.
    #[must_use]
    pub fn plan(&self, cpus: &[u32], duration: Duration) -> Vec<Perturbation> {
        let Some((pause, shortest, longest)) = self.level.ranges() else {
            return Vec::new();
        };
        let end = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut all = Vec::new();
        for &cpu in cpus {
            let mut dice = Dice::new(self.seed ^ (u64::from(cpu) << 32));
            let mut at = dice.between(0, pause);
            while at < end && all.len() < MOST as usize {
                let spin = dice.between(shortest, longest);
                all.push(Perturbation {
                    index: 0,
                    cpu,
                    at: Duration::from_micros(at),
                    spin: Duration::from_micros(spin),
                });
                at += spin + dice.between(1, pause);
            }
        }
        all.sort_by_key(|p| (p.at, p.cpu));
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

/// Perturbers at work; dropping them ends them.
pub struct Perturbers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Perturbers {
    /// Starts a thread for each CPU that the plan names.
    ///
    /// # Errors
    /// A CPU that cannot be had, or no right to the real-time policy: a run that was to be perturbed and was not proves nothing.
    pub fn start(plan: &[Perturbation]) -> Result<Self> {
        let mut cpus: Vec<u32> = plan.iter().map(|p| p.cpu).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let mut perturbers = Self { stop: Arc::default(), threads: Vec::new() };
        let begin = now_ns();
        for cpu in cpus {
            let entries: Vec<Perturbation> = plan.iter().copied().filter(|p| p.cpu == cpu).collect();
            let stop = Arc::clone(&perturbers.stop);
            let (ready, outcome) = std::sync::mpsc::channel();
            let thread = std::thread::Builder::new().name(format!("chaos/{cpu}"));
            let handle = thread.spawn(move || {
                let placed = place(cpu);
                let go_on = placed.is_ok();
                let _ = ready.send(placed);
                if go_on {
                    perturb(&entries, begin, &stop);
                }
            });
            perturbers.threads.push(handle.context("no thread for a perturber")?);
            outcome.recv().context("a perturber ended early")?.with_context(|| format!("perturber of CPU {cpu}"))?;
        }
        Ok(perturbers)
    }
}

impl Drop for Perturbers {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The calling thread on one CPU, before all ordinary tasks.
fn place(cpu: u32) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu as usize);
    rustix::thread::sched_setaffinity(None, &set).context("sched_setaffinity")?;
    let param = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: a plain system call on the calling thread, which reads `param` and keeps nothing of it.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).context("sched_setscheduler(SCHED_FIFO): it needs CAP_SYS_NICE");
    }
    Ok(())
}

fn perturb(entries: &[Perturbation], begin: u64, stop: &AtomicBool) {
    for entry in entries {
        let due = begin.saturating_add(u64::try_from(entry.at.as_nanos()).unwrap_or(u64::MAX));
        while now_ns() < due {
            if stop.load(Relaxed) {
                return;
            }
            sleep_until(due.min(now_ns().saturating_add(LOOK_AFTER_NS)));
        }
        let until = now_ns().saturating_add(u64::try_from(entry.spin.as_nanos()).unwrap_or(0));
        while now_ns() < until && !stop.load(Relaxed) {
            std::hint::spin_loop();
        }
    }
}

fn sleep_until(ns: u64) {
    let at = Timespec {
        tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or(0),
    };
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
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
            prop_assert!(plan.iter().all(|p| p.at < duration && p.spin <= Duration::from_millis(2)));
            prop_assert!(plan.is_sorted_by_key(|p| p.at));
            prop_assert!(plan.iter().zip(0..).all(|(p, i)| p.index == i));
            // On one CPU they never overlap.
            for cpu in cpus {
                let own: Vec<_> = plan.iter().filter(|p| p.cpu == cpu).collect();
                prop_assert!(own.windows(2).all(|w| w[0].at + w[0].spin < w[1].at));
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

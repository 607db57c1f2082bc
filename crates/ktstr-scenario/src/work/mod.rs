//! What workers do: one file for each type, and one table of all.

mod ask;
mod fan_out;
mod group_size;
mod links;
mod lock;
mod region;
mod roam;
mod sub_groups;
#[cfg(test)]
pub(crate) mod testing;

use crate::worker::{Fault, Worker};
use anyhow::{Context as _, Result, ensure};
use group_size::GroupSize;
pub(crate) use links::Links;
pub(crate) use region::Region;
pub use sequence::Phase;
pub(crate) use spin_wait::{ROUNDS as SPIN_ROUNDS, burn};
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// A type of work: how many workers it wants, what must exist before them, and what each does.
pub(crate) trait Work {
    /// How many workers it wants.
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(1)
    }

    /// Whether its parameters are in their ranges.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// What must exist before so many workers are forked into this cgroup.
    fn links(&self, _workers: usize, _group: Option<&Path>) -> Result<Links> {
        Ok(Links::default())
    }

    /// What each worker does before the start, when it has its manner on: what fails here is an error before anything starts.
    fn settle(&self, _worker: &Worker<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// Works until the worker is no longer to run, in a forked process: no allocation, no lock, no panic.
    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault>;
}

macro_rules! work_types {
    (
        plain { $($(#[$plain_doc:meta])* $plain:ident in $plain_mod:ident,)* }
        with_parameters { $($(#[$doc:meta])* $name:ident in $module:ident by $make:ident,)* }
        made_by_hand { $($(#[$hand_doc:meta])* $hand:ident in $hand_mod:ident,)* }
    ) => {
        $(mod $plain_mod;)*
        $(mod $module; pub use $module::$name;)*
        $(mod $hand_mod; pub use $hand_mod::$hand;)*

        /// A kind of load. Types with parameters have a constructor with their defaults (`WorkType::futex_fan_out()`), and take
        /// others by their fields: `WorkType::FutexFanOut(FutexFanOut { fan_out: 8, ..Default::default() })`.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum WorkType {
            $($(#[$plain_doc])* $plain,)*
            $($(#[$doc])* $name($name),)*
            $($(#[$hand_doc])* $hand($hand),)*
        }

        impl WorkType {
            $(
                #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), ") with its defaults.")]
                #[must_use]
                pub const fn $make() -> Self {
                    Self::$name($name::DEFAULT)
                }
            )*

            /// Its name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$plain => stringify!($plain),)*
                    $(Self::$name(_) => stringify!($name),)*
                    $(Self::$hand(_) => stringify!($hand),)*
                }
            }

            /// One of each, with its defaults.
            #[cfg(test)]
            fn all() -> Vec<Self> {
                vec![$(Self::$plain,)* $(Self::$make(),)*]
            }

            fn work(&self) -> &dyn Work {
                match self {
                    $(Self::$plain => &$plain_mod::$plain,)*
                    $(Self::$name(work) => work,)*
                    $(Self::$hand(work) => work,)*
                }
            }
        }

        $(
            impl Default for $name {
                fn default() -> Self {
                    Self::DEFAULT
                }
            }
        )*
    };
}

work_types! {
    plain {
        /// Computes without pause.
        SpinWait in spin_wait,
        /// Gives the CPU away after each small piece of work; events are yields.
        YieldHeavy in yield_heavy,
        /// Computes, yields and sleeps for some hundred µs, in turn; events are yields.
        Mixed in mixed,
        /// Pairs that pass bytes through pipes, one message at a time; events are bytes. An even number of workers.
        PipeIo in pipe_io,
        /// Pairs that wake each other through a futex; events are wake-ups given. An even number of workers.
        FutexPingPong in futex_ping_pong,
        /// Forks a child that ends at once and reaps it, again and again; events are children reaped.
        ForkExit in fork_exit,
        /// Arithmetic that keeps several units of a core busy in every cycle.
        AluHot in alu_hot,
        /// Pairs that compute on the two threads of one core each; an even number of workers. Where the machine, or what the
        /// workers are allowed of it, has no such threads, they compute wherever they are put. Events are workers pinned.
        SmtSiblingSpin in smt_sibling_spin,
        /// Pairs that send each other signals while they compute; events are signals received. An even number of workers.
        SignalStorm in signal_storm,
    }
    with_parameters {
        /// Computes for a while, then sleeps for a while.
        Bursty in bursty by bursty,
        /// Writes a file and has it written out; events are bytes.
        IoSyncWrite in io_sync_write by io_sync_write,
        /// Reads a file at random places; events are bytes.
        IoRandRead in io_rand_read by io_rand_read,
        /// Queues at one file's lock to write it; events are waits for the lock. At least 2 workers.
        IoConvoy in io_convoy by io_convoy,
        /// Groups in which one wakes all others at once and waits for them; events are wake-ups given.
        FutexFanOut in futex_fan_out by futex_fan_out,
        /// The same, with work on memory for those that are woken.
        FanOutCompute in fan_out_compute by fan_out_compute,
        /// Writes a working set, cache line after cache line.
        CachePressure in cache_pressure by cache_pressure,
        /// The same, and yields after each pass; events are yields.
        CacheYield in cache_yield by cache_yield,
        /// Pairs that write a working set, then pass a byte through a pipe; events are bytes. An even number of workers.
        CachePipe in cache_pipe by cache_pipe,
        /// Goes through nice values; events are changes. Needs `CAP_SYS_NICE`, unless `low` is not below the worker's own.
        NiceSweep in nice_sweep by nice_sweep,
        /// Pins itself to one CPU after another of those it is allowed; events are changes.
        AffinityChurn in affinity_churn by affinity_churn,
        /// Pins its partners to one CPU after another; events are changes. At least 2 workers.
        CrossAffinityChurn in cross_affinity_churn by cross_affinity_churn,
        /// Goes through scheduling policies; events are changes. `SCHED_FIFO` and `SCHED_RR` are among them where the worker
        /// may have them, and left out where it may not.
        PolicyChurn in policy_churn by policy_churn,
        /// Touches memory page by page and gives it back; events are pages.
        PageFaultChurn in page_fault_churn by page_fault_churn,
        /// Contends for one lock; events are sleeps for it. At least 2 workers.
        MutexContention in mutex_contention by mutex_contention,
        /// One wakes all others at once, who race for one prize; events are wake-ups given and prizes won. At least 2 workers.
        ThunderingHerd in thundering_herd by thundering_herd,
        /// Groups of three: a lock held at low weight, wanted at high weight, and one that only computes in between; events are
        /// times the lock was taken. A multiple of 3 workers.
        PriorityInversion in priority_inversion by priority_inversion,
        /// Groups in which producers fill a short queue faster than its consumers empty it; events are items.
        ProducerConsumerImbalance in producer_consumer_imbalance by producer_consumer_imbalance,
        /// The first worker computes under `SCHED_FIFO` in bursts, the others under their own policy beside it; events are bursts.
        /// At least 2 workers; needs `CAP_SYS_NICE`.
        RtStarvation in rt_starvation by rt_starvation,
        /// Pairs of a busy waker and a light wakee of another policy; events are wake-ups given. An even number of workers.
        AsymmetricWaker in asymmetric_waker by asymmetric_waker,
        /// A ring in which each wakes the next; events are wake-ups given. At least 2 workers.
        WakeChain in wake_chain by wake_chain,
        /// Has its working set moved from node to node while it writes it; events are moves. Pages are counted at the end.
        NumaWorkingSetSweep in numa_working_set_sweep by numa_working_set_sweep,
        /// Moves itself from node to node and leaves its working set behind; events are moves, none where the worker is allowed
        /// on one node only. Pages are counted at the end.
        NumaMigrationChurn in numa_migration_churn by numa_migration_churn,
        /// Moves itself between cgroups below its own; events are moves.
        CgroupChurn in cgroup_churn by cgroup_churn,
        /// The first worker moves all others between cgroups below their own; events are moves. At least 2 workers.
        CgroupAttachStorm in cgroup_attach_storm by cgroup_attach_storm,
        /// Pairs of one that computes and one that sleeps and wakes many times a second to preempt it; events are its wake-ups.
        /// An even number of workers.
        PreemptStorm in preempt_storm by preempt_storm,
        /// The first worker rings the eventfds of all others in bursts, who wait in epoll; events are rings and bursts heard.
        /// At least 2 workers.
        EpollStorm in epoll_storm by epoll_storm,
        /// Runs and sleeps so briefly that its CPU goes in and out of idle all the time.
        IdleChurn in idle_churn by idle_churn,
        /// Wakes by the clock in equal periods; events are periods missed.
        TimerLatency in timer_latency by timer_latency,
        /// Pairs that exchange messages over TCP on the loopback interface; events are bytes. An even number of workers.
        NetTraffic in net_traffic by net_traffic,
        /// Waits for a timerfd, which an interrupt makes readable; events are its expirations.
        IrqWake in irq_wake by irq_wake,
        /// Stretches of many instructions a cycle, then of few, in turn; events are changes.
        IpcVariance in ipc_variance by ipc_variance,
        /// Like the benchmark of this name: a messenger answers workers, who think and then compute; events are answers.
        Schbench in schbench by schbench,
        /// Like a read-through cache: fast workers answer hits and hand misses to slow ones; events are hits, and misses served.
        Taobench in taobench by taobench,
    }
    made_by_hand {
        /// Phases one after the other, again and again; see [`sequence`](Self::sequence).
        Sequence in sequence,
        /// A function of the test's own; see [`custom`](Self::custom).
        Custom in custom,
    }
}

impl WorkType {
    /// [`Bursty`](Self::Bursty) in milliseconds.
    #[must_use]
    pub const fn bursty_ms(work: u64, idle: u64) -> Self {
        Self::Bursty(Bursty { work: Duration::from_millis(work), idle: Duration::from_millis(idle) })
    }

    /// Whether this many workers can do it.
    ///
    /// # Errors
    /// A number that it cannot use, or a parameter out of its range, by name.
    pub(crate) fn check_count(&self, workers: u32) -> Result<()> {
        self.work().check().with_context(|| self.name())?;
        self.work().size().check(self.name(), workers)
    }

    /// What must exist before the workers are forked.
    pub(crate) fn links(&self, workers: usize, group: Option<&Path>) -> Result<Links> {
        self.work().links(workers, group)
    }

    pub(crate) fn settle(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        self.work().settle(worker)
    }

    pub(crate) fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        self.work().run(worker)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "a range is a literal; `&(1..=9)` would read badly")]
fn within<T: PartialOrd + Debug>(name: &str, value: T, range: RangeInclusive<T>) -> Result<()> {
    ensure!(range.contains(&value), "{name} {value:?} is not from {:?} to {:?}", range.start(), range.end());
    Ok(())
}

/// Durations that a worker may spend on one thing.
const TIMES: RangeInclusive<Duration> = Duration::from_micros(1)..=Duration::from_secs(3600);

/// Sizes of a working set, in KiB.
const KIB: RangeInclusive<u32> = 4..=1 << 20;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_refuses_no_workers_and_its_defaults_are_in_their_ranges() {
        for work in WorkType::all() {
            let text = work.check_count(0).unwrap_err().to_string();
            assert!(text.starts_with(&format!("{} was given 0 workers", work.name())), "{text}");
            let fits = (1..=12).find(|&n| work.check_count(n).is_ok());
            assert!(fits.is_some(), "{work:?} takes none of 1 to 12 workers");
        }
    }

    #[test]
    fn a_wrong_group_is_an_error_with_type_number_and_rule() {
        for (work, count, why) in [
            (WorkType::FutexPingPong, 3, "FutexPingPong was given 3 workers and wants an even number: 4, for example"),
            (WorkType::futex_fan_out(), 4, "FutexFanOut was given 4 workers and wants a multiple of 5: 5, for example"),
            (WorkType::wake_chain(), 1, "WakeChain was given 1 workers and wants at least 2: 2, for example"),
            (WorkType::priority_inversion(), 4, "PriorityInversion was given 4 workers and wants a multiple of 3"),
        ] {
            let text = testing::refused(&work, count);
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn a_parameter_out_of_its_range_is_an_error_by_name() {
        let work = WorkType::CachePressure(CachePressure { kib: 1 });
        assert_eq!(testing::refused(&work, 1), "CachePressure: kib 1 is not from 4 to 1048576");
    }
}

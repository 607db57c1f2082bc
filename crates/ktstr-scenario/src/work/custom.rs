//! A function of the test's own as work.

use super::{GroupSize, Work, within};
use crate::worker::{Fault, Worker};
use anyhow::Result;
use std::fmt;

/// A function and its name.
///
/// It runs in a process forked from one with threads, so it must not allocate, lock, print or panic (a panic ends the worker,
/// which is an error of the run); it works in a loop until [`Worker::running`] says no, and calls [`Worker::progress`].
#[derive(Clone, Copy)]
pub struct Custom {
    /// For messages.
    pub name: &'static str,
    /// How many workers it wants at least, from 1 on.
    pub at_least: u32,
    /// What each worker does.
    pub run: fn(&Worker<'_>),
}

impl super::WorkType {
    /// A function of the test's own: `WorkType::custom("mine", |worker| while worker.running() { … worker.progress(1) })`.
    #[must_use]
    pub const fn custom(name: &'static str, run: fn(&Worker<'_>)) -> Self {
        Self::Custom(Custom { name, at_least: 1, run })
    }
}

impl Work for Custom {
    fn size(&self) -> GroupSize {
        GroupSize::AtLeast(self.at_least)
    }

    fn check(&self) -> Result<()> {
        within(&format!("at_least of `{}`", self.name), self.at_least, 1..=u32::MAX)
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        (self.run)(worker);
        Ok(())
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.at_least == other.at_least && std::ptr::fn_addr_eq(self.run, other.run)
    }
}

impl Eq for Custom {}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::{gone, refused, run};
    use crate::worker::{Crew, Manner};

    #[test]
    fn a_custom_worker_says_what_it_does() {
        let work = WorkType::custom("mine", |worker| {
            while worker.running() {
                worker.burn(100);
                worker.event(worker.index() as u64 + worker.count() as u64);
                worker.sleep(100_000);
                worker.progress(1);
            }
        });
        let seen = run(&work, 2, |seen| seen.iter().all(|w| w.wakes > 3));
        assert!(seen[0].events >= 2 * seen[0].iterations && seen[1].events >= 3 * seen[1].iterations, "{seen:?}");
    }

    #[test]
    fn what_a_worker_has_forked_is_gone_with_it() {
        // The child's number is what the worker counts as events.
        let work = WorkType::custom("forks", |worker| {
            // SAFETY: without a flag that shares memory this is fork(2); the child only waits to be killed.
            let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            if child == 0 {
                loop {
                    rustix::event::pause();
                }
            }
            worker.event(child.unsigned_abs());
            while worker.running() {
                worker.spin(100_000);
            }
        });
        let child = |events: u64| i32::try_from(events).unwrap();
        let seen = run(&work, 2, |seen| seen.iter().all(|w| w.events > 0));
        assert!(seen.iter().all(|w| gone(child(w.events))), "{seen:?}");
        let crew = Crew::gather(&work, 1, &Manner::default(), None).unwrap();
        crew.start();
        let first = loop {
            let events = crew.look()[0].events;
            if events > 0 {
                break child(events);
            }
            std::thread::yield_now();
        };
        assert!(!gone(first));
        drop(crew);
        assert!(gone(first), "{first} is left");
    }

    #[test]
    fn a_worker_that_panics_is_an_error_and_runs_nothing_of_its_parent() {
        let work = WorkType::custom("panics", |worker| {
            worker.progress(1);
            std::panic::resume_unwind(Box::new(()));
        });
        let crew = Crew::gather(&work, 1, &Manner::default(), None).unwrap();
        crew.start();
        let text = crew.stop().unwrap_err().to_string();
        assert!(text.contains("worker 0") && text.contains("ended early"), "{text}");
    }

    #[test]
    fn a_worker_that_returns_before_the_end_is_an_error() {
        let work = WorkType::custom("returns", |worker| worker.progress(1));
        let crew = Crew::gather(&work, 1, &Manner::default(), None).unwrap();
        crew.start();
        let start = std::time::Instant::now();
        while !gone(crew.pids()[0]) && start.elapsed().as_secs() < 30 {
            std::thread::yield_now();
        }
        let text = crew.stop().unwrap_err().to_string();
        assert!(text.contains("worker 0") && text.contains("its work returned before the end"), "{text}");
    }

    #[test]
    fn fewer_than_it_wants_are_refused_by_its_name() {
        let work = WorkType::Custom(Custom { name: "mine", at_least: 3, run: |_| {} });
        assert!(refused(&work, 2).contains("Custom was given 2 workers and wants at least 3"));
        let none = WorkType::Custom(Custom { name: "mine", at_least: 0, run: |_| {} });
        assert!(refused(&none, 2).contains("at_least of `mine` 0 is not from 1"));
    }
}

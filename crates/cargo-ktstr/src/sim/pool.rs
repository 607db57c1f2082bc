//! Several machines at once: each takes one host CPU, and none notices the others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;

/// How many machines run at once.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Jobs {
    /// Machines at once [default: the host's CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

impl Jobs {
    /// Does `work` to each item, and tells `done` of each as it comes; `done` says whether to begin more.
    pub fn each<T: Sync, R: Send>(
        self,
        items: &[T],
        work: impl Fn(&T) -> R + Sync,
        mut done: impl FnMut(usize, R) -> bool,
    ) {
        let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.map_or_else(cpus, usize::from).min(items.len());
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        // No one runs ahead of what has been told.
        let (sender, receiver) = sync_channel(0);
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                let (sender, next, stop, work) = (sender.clone(), &next, &stop, &work);
                scope.spawn(move || {
                    while !stop.load(Relaxed) {
                        let index = next.fetch_add(1, Relaxed);
                        let Some(item) = items.get(index) else { break };
                        if sender.send((index, work(item))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for (index, result) in receiver {
                if !done(index, result) {
                    stop.store(true, Relaxed);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_item_is_worked_on_once(count in 0usize..50, jobs in 1u16..9) {
            let items: Vec<usize> = (0..count).collect();
            let mut seen = Vec::new();
            Jobs { jobs: Some(jobs) }.each(&items, |i| i * 2, |index, result| {
                seen.push((index, result));
                true
            });
            seen.sort_unstable();
            prop_assert_eq!(seen, items.iter().map(|i| (*i, i * 2)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn after_a_stop_nothing_more_begins() {
        let items: Vec<u32> = (0..1000).collect();
        let mut count = 0;
        Jobs { jobs: Some(1) }.each(
            &items,
            |i| *i,
            |_, i| {
                count += 1;
                i < 5
            },
        );
        assert!(count <= 8, "{count}");
    }
}

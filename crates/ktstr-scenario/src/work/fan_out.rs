//! Groups of a leader and its followers: the leader wakes all at once and waits until all have worked.

use super::burn;
use crate::worker::{Baton, Fault, Worker};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Rounds that a leader computes for each call.
const LEADER_ROUNDS: u64 = 200;

/// Works in groups of `followers + 1`; `work` is what a follower does for each call.
pub fn rally(worker: &Worker<'_>, followers: u32, work: impl FnMut()) -> Result<(), Fault> {
    let size = followers as usize + 1;
    let first = worker.index() - worker.index() % size;
    let (call, done) = (worker.baton(first), worker.baton(first + 1));
    if worker.index() == first {
        lead(worker, followers, call, done);
    } else {
        follow(worker, followers, call, done, work);
    }
    Ok(())
}

fn lead(worker: &Worker<'_>, followers: u32, call: &Baton, done: &Baton) {
    let mut round = 0u32;
    while worker.running() {
        burn(LEADER_ROUNDS);
        done.word.store(0, Relaxed);
        round = round.wrapping_add(1);
        let first = worker.index() + 1;
        let now = worker.now_ns();
        for follower in first..first + followers as usize {
            worker.baton(follower).mark(now);
        }
        call.word.store(round, Release);
        worker.event(worker.wake(&call.word, followers));
        worker.progress(1);
        let mut slept = false;
        loop {
            let so_far = done.word.load(Acquire);
            if so_far >= followers {
                break;
            }
            if !worker.running() {
                return;
            }
            slept = worker.wait(&done.word, so_far);
        }
        if let Some(at) = call.take_mark().filter(|_| slept) {
            worker.woke(at);
        }
    }
}

fn follow(worker: &Worker<'_>, followers: u32, call: &Baton, done: &Baton, mut work: impl FnMut()) {
    let mut heard = 0;
    while let Some(round) = hear(worker, call, heard) {
        heard = round;
        work();
        worker.progress(1);
        if is_last(worker, followers, call, done) {
            // The leader is the only one who waits here.
            worker.wake(&done.word, 1);
        }
    }
}

/// Waits for another call than the last one that was `heard`, and measures the wake-up; `None` at the end.
pub fn hear(worker: &Worker<'_>, call: &Baton, heard: u32) -> Option<u32> {
    if !worker.running() {
        return None;
    }
    let mut slept = false;
    while call.word.load(Acquire) == heard {
        if !worker.running() {
            return None;
        }
        slept = worker.wait(&call.word, heard);
    }
    let round = call.word.load(Acquire);
    if let Some(at) = worker.baton(worker.index()).take_mark().filter(|_| slept) {
        worker.woke(at);
    }
    Some(round)
}

/// Counts one more who is done; the last marks the leader before it can go on.
fn is_last(worker: &Worker<'_>, followers: u32, call: &Baton, done: &Baton) -> bool {
    let mut before = done.word.load(Acquire);
    loop {
        let last = before + 1 == followers;
        if last {
            call.mark(worker.now_ns());
        }
        match done.word.compare_exchange(before, before + 1, AcqRel, Acquire) {
            Ok(_) => return last,
            Err(other) => before = other,
        }
    }
}

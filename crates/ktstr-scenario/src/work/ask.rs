//! Asking somebody and sleeping until the answer comes, and answering all who ask.

use crate::worker::{Fault, Worker};
use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// What a worker's own word says.
const NOTHING: u32 = 0;
const ASKED: u32 = 1;
const ANSWERED: u32 = 2;

/// Asks the worker `of` and waits; false at the end of the work.
pub fn ask(worker: &Worker<'_>, of: usize) -> bool {
    let (own, call) = (worker.baton(worker.index()), worker.baton(of));
    own.word.store(ASKED, Release);
    call.mark(worker.now_ns());
    call.other.fetch_add(1, Release);
    worker.wake(&call.other, 1);
    let mut slept = false;
    while own.word.load(Acquire) != ANSWERED {
        if !worker.running() {
            return false;
        }
        slept = worker.wait(&own.word, ASKED);
    }
    if let Some(at) = own.take_mark().filter(|_| slept) {
        worker.woke(at);
    }
    own.word.store(NOTHING, Relaxed);
    true
}

/// Answers those of `clients` who ask, every `step`th, after `work` for each; events are answers.
pub fn answer(worker: &Worker<'_>, clients: &Range<usize>, step: usize, mut work: impl FnMut()) -> Result<(), Fault> {
    let call = worker.baton(worker.index());
    let mut slept = false;
    while worker.running() {
        let posted = call.other.load(Acquire);
        if let Some(at) = call.take_mark().filter(|_| slept) {
            worker.woke(at);
        }
        slept = false;
        let mut idle = true;
        for client in clients.clone().step_by(step) {
            let baton = worker.baton(client);
            if baton.word.load(Acquire) == ASKED {
                idle = false;
                work();
                baton.mark(worker.now_ns());
                baton.word.store(ANSWERED, Release);
                worker.wake(&baton.word, 1);
                worker.event(1);
                worker.progress(1);
            }
        }
        if idle {
            slept = worker.wait(&call.other, posted);
        }
    }
    Ok(())
}

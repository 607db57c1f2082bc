//! Going from CPU to CPU among those that are allowed, whatever becomes of the cpuset meanwhile.

use crate::random::Random;
use crate::worker::{CpuMask, Fault, Worker};

/// Looks at what is allowed.
const LOOKS: u32 = 8;

/// CPUs to choose from, learnt anew when the cpuset has changed.
pub struct Roam {
    home: CpuMask,
    moves: u32,
    random: Random,
}

impl Roam {
    pub fn new(worker: &Worker<'_>) -> Self {
        Self { home: worker.home(), moves: worker.moves(), random: Random::of(worker.index()) }
    }

    /// Pins a process, 0 for the caller, to one of the CPUs; false when that one has just been taken away.
    pub fn pin(&mut self, worker: &Worker<'_>, pid: i32) -> Result<bool, Fault> {
        if worker.moves() != self.moves {
            self.learn(worker)?;
        }
        let cpu = self.home.nth(self.random.below(self.home.len())).unwrap_or(0);
        match CpuMask::single(cpu).apply(pid) {
            Ok(()) => Ok(true),
            Err(fault) if fault.is_invalid() => self.learn(worker).map(|()| false),
            Err(fault) => Err(fault),
        }
    }

    fn learn(&mut self, worker: &Worker<'_>) -> Result<(), Fault> {
        self.moves = worker.moves();
        // A partner may pin this worker in between: one CPU alone is believed after some more looks.
        for _ in 0..LOOKS {
            self.home = worker.learn_home()?;
            if self.home.len() > 1 {
                break;
            }
        }
        Ok(())
    }
}

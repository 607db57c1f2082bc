//! What a selection amounts to.

use crate::seconds::Secs;
use crate::select::Candidate;

/// Figures for the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Candidates chosen.
    pub selected: usize,
    /// Candidates there were.
    pub total: usize,
    /// Estimated seconds of the chosen.
    pub secs_used: f64,
    /// Seconds given.
    pub secs_budget: f64,
    /// Feature bits the chosen cover.
    pub bits_covered: u32,
    /// Feature bits all candidates together could cover.
    pub bits_possible: u32,
}

/// The figures of a selection.
#[must_use]
pub fn stats(all: &[Candidate], chosen: &[usize], budget: Secs) -> Stats {
    Stats {
        selected: chosen.len(),
        total: all.len(),
        secs_used: chosen.iter().map(|&i| all[i].secs.get()).sum(),
        secs_budget: budget.get(),
        bits_covered: chosen.iter().fold(0, |bits, &i| bits | all[i].mask).count_ones(),
        bits_possible: all.iter().fold(0, |bits, c| bits | c.mask).count_ones(),
    }
}

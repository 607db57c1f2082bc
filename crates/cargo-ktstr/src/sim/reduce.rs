//! A failing seed with the fewest perturbations: each candidate is a run.

use super::attempt::{Draw, Level, Out, Ran};
use super::coverage::without_numbers;
use super::pool::Jobs;
use super::shrink::{Shrunk, Spent, as_list, shrink};
use crate::find::Test;
use anyhow::{Result, ensure};
use ktstr_kernel::{Console, Progress as _};
use ktstr_sidecar::SidecarRecord;
use ktstr_verdict::{Outcome, Verdict};
use std::collections::BTreeSet;

/// What a failure is shrunk with.
pub struct Reducer<'a> {
    pub test: &'a Test,
    pub seed: u64,
    pub chaos: Level,
    pub jobs: Jobs,
    pub out: &'a Out,
    /// Runs it may take.
    pub most: usize,
    pub progress: &'a Console,
}

/// A failing seed with fewer perturbations.
pub struct Found {
    pub seed: u64,
    pub shrunk: Shrunk,
    /// Perturbations that the seed drew.
    pub of: usize,
    /// Runs it took.
    pub runs: usize,
    /// The last one, with what is left.
    pub ran: Ran,
}

impl Reducer<'_> {
    /// Shrinks what made `failing` fail, and confirms that what is left fails.
    pub fn reduce(&self, failing: &SidecarRecord) -> Result<Found> {
        let wanted = failure(failing);
        let of = failing.perturbations.unwrap_or(0);
        let mut runs = 0;
        let shrunk = if self.first_that_fails(&[Vec::new()], of, &wanted, &mut runs)? == Ok(Some(0)) {
            Shrunk { kept: Vec::new(), minimal: true }
        } else {
            let mut trouble = None;
            let all = (0..u32::try_from(of).unwrap_or(u32::MAX)).collect();
            let shrunk = shrink(all, |candidates| match self.first_that_fails(candidates, of, &wanted, &mut runs) {
                Ok(answer) => answer,
                Err(e) => {
                    trouble = Some(e);
                    Err(Spent)
                }
            });
            match trouble {
                Some(e) => return Err(e),
                None => shrunk,
            }
        };
        let ran = self.run(&shrunk.kept, "shrunk")?;
        ensure!(
            same(&wanted, &ran.record),
            "seed {} failed with {} perturbations and then did not: `cargo ktstr sim check` shows why",
            self.seed,
            shrunk.kept.len()
        );
        Ok(Found { seed: self.seed, shrunk, of, runs: runs + 1, ran })
    }

    fn run(&self, keep: &[u32], what: &str) -> Result<Ran> {
        let draw = Draw { seed: Some(self.seed), chaos: Some(self.chaos), keep: Some(as_list(keep)) };
        draw.run(self.test, None, self.out.dir(self.test, &format!("seed-{}-{what}", self.seed))?, |_| {})
    }

    /// The first candidate that fails as wanted; of those that run at once, the first in their order.
    fn first_that_fails(
        &self,
        candidates: &[Vec<u32>],
        of: usize,
        wanted: &BTreeSet<String>,
        runs: &mut usize,
    ) -> Result<Result<Option<usize>, Spent>> {
        let numbered: Vec<(usize, &Vec<u32>)> = candidates.iter().enumerate().collect();
        let mut first: Option<usize> = None;
        let mut broken = None;
        let mut done = 0;
        let one = |(index, keep): &(usize, &Vec<u32>)| self.run(keep, &format!("shrinking-{index}"));
        self.jobs.each(&numbered, one, |index, ran: Result<Ran>| {
            *runs += 1;
            done += 1;
            self.progress.step(&format!(
                "seed {} fails; shrinking {of} perturbations, run {runs}: {} of them",
                self.seed,
                candidates[index].len()
            ));
            if let Ok(ran) = &ran {
                // Hundreds of them, and only the last is of use.
                let _ = std::fs::remove_dir_all(&ran.dir);
            }
            match ran {
                Ok(ran) if same(wanted, &ran.record) => first = Some(first.map_or(index, |f| f.min(index))),
                Ok(_) => {}
                Err(e) => broken = Some(e),
            }
            first.is_none() && broken.is_none() && *runs < self.most
        });
        match (broken, first) {
            (Some(e), _) => Err(e),
            (None, Some(index)) => Ok(Ok(Some(index))),
            (None, None) if done < candidates.len() => Ok(Err(Spent)),
            (None, None) => Ok(Ok(None)),
        }
    }
}

/// Whether a run fails as wanted: of several checks that failed at once, any.
fn same(wanted: &BTreeSet<String>, record: &SidecarRecord) -> bool {
    !wanted.is_disjoint(&failure(record))
}

/// Which checks failed, without the numbers that differ from run to run.
fn failure(record: &SidecarRecord) -> BTreeSet<String> {
    if record.verdict() != Verdict::Fail {
        return BTreeSet::new();
    }
    let failed = |o: &Outcome| match o {
        Outcome::Fail { detail } => Some(format!("{:?} {}", detail.kind, without_numbers(&detail.message))),
        _ => None,
    };
    let found: BTreeSet<String> = record.outcomes.iter().filter_map(failed).collect();
    if found.is_empty() {
        return std::iter::once(without_numbers(record.message.lines().next().unwrap_or("failed"))).collect();
    }
    found
}

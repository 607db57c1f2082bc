//! `cargo ktstr sim search`: one test, many seeds; what fails is shrunk.

use super::attempt::{Draw, Level, Out, Ran, brief, drawn, short};
use super::coverage::Coverage;
use super::pool::Jobs;
use super::reduce::{Found, Reducer};
use super::shrink::as_list;
use crate::find::{Selection, Test, base_name};
use anyhow::Result;
use ktstr_kernel::{Console, Progress as _};
use ktstr_verdict::Verdict;
use serde_json::json;
use std::ops::Range;
use std::process::ExitCode;

/// Seeds of one search, at most.
const MOST: u64 = 100_000;

#[derive(clap::Args)]
pub struct Search {
    /// NAME, ktstr/NAME or gauntlet/NAME/PRESET
    test: String,
    /// From A up to and not B, or `A..=B`
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    seeds: Range<u64>,
    /// Perturbations drawn from each seed
    #[arg(long, value_enum, default_value = "high")]
    chaos: Level,
    /// Begin no more once a seed has failed
    #[arg(long)]
    until_fail: bool,
    /// Runs that shrinking may take; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 100)]
    shrink_runs: usize,
    #[command(flatten)]
    jobs: Jobs,
    #[command(flatten)]
    out: Out,
    /// For machines: one object a line, the last one the summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// What the seeds came to.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    inconclusive: usize,
    skipped: usize,
    coverage: Coverage,
    /// The failing run of the lowest seed.
    worst: Option<(u64, Ran)>,
}

pub fn run(command: &Search) -> Result<ExitCode> {
    let progress = Console::new();
    let test = command.selection.one(&command.test, &progress)?;
    let tally = look(command, &test, &progress)?;
    let found = match &tally.worst {
        Some((seed, ran)) if command.shrink_runs > 0 && command.chaos != Level::Off => {
            let reducer = Reducer {
                test: &test,
                seed: *seed,
                chaos: command.chaos,
                jobs: command.jobs,
                out: &command.out,
                most: command.shrink_runs,
                progress: &progress,
            };
            Some(reducer.reduce(&ran.record)?)
        }
        _ => None,
    };
    let text = if command.json { summary_json(&tally, found.as_ref()) } else { summary(&test, &tally, found.as_ref()) };
    progress.print(&text);
    progress.finish();
    Ok(match (tally.failed, tally.inconclusive, tally.passed) {
        (0, 0, 0) => {
            eprintln!("error: every seed was skipped, so nothing is proved");
            ExitCode::FAILURE
        }
        (0, 0, _) => ExitCode::SUCCESS,
        (0, _, _) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    })
}

fn look(command: &Search, test: &Test, progress: &Console) -> Result<Tally> {
    let seeds: Vec<u64> = command.seeds.clone().collect();
    let mut tally = Tally::default();
    let mut broken = None;
    let one = |seed: &u64| {
        let draw = Draw { seed: Some(*seed), chaos: Some(command.chaos), keep: None };
        draw.run(test, None, command.out.dir(test, &format!("seed-{seed}-{}", command.chaos.word()))?, |_| {})
    };
    progress.step(&format!("{}: {} seeds", test.name, seeds.len()));
    let mut count = 0;
    command.jobs.each(&seeds, one, |index, ran: Result<Ran>| {
        let seed = seeds[index];
        count += 1;
        let ran = match ran {
            Ok(ran) => ran,
            Err(e) => {
                broken = Some(e.context(format!("seed {seed}")));
                return false;
            }
        };
        let verdict = ran.record.verdict();
        let new = tally.coverage.take(&ran.record);
        progress.print(&row(command.json, seed, &ran, new));
        match verdict {
            Verdict::Pass => tally.passed += 1,
            Verdict::Skip => tally.skipped += 1,
            Verdict::Inconclusive => tally.inconclusive += 1,
            Verdict::Fail => tally.failed += 1,
        }
        let stop = verdict == Verdict::Fail && command.until_fail;
        if verdict == Verdict::Fail && tally.worst.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
            tally.worst = Some((seed, ran));
        }
        progress.step(&format!(
            "{count} of {} seeds, {} failed; {} traits of behaviour, none new for {} seeds",
            seeds.len(),
            tally.failed,
            tally.coverage.traits(),
            tally.coverage.stale()
        ));
        !stop
    });
    broken.map_or(Ok(tally), Err)
}

fn row(as_json: bool, seed: u64, ran: &Ran, new: usize) -> String {
    let record = &ran.record;
    if as_json {
        return json!({
            "seed": seed, "verdict": record.verdict(), "message": record.message, "digest": record.digest,
            "new_traits": new, "wall_s": ran.wall.as_secs_f64(), "record": ran.dir,
        })
        .to_string();
    }
    let digest = short(record.digest.as_deref());
    let mut text = format!("{seed:>8}  {:<12}  digest {digest:<12}  new traits {new:<3}", record.verdict());
    if !record.message.is_empty() {
        text += &format!("\n          {}", brief(&record.message));
    }
    text
}

fn summary(test: &Test, tally: &Tally, found: Option<&Found>) -> String {
    let Tally { passed, failed, inconclusive, skipped, coverage, .. } = tally;
    let mut text = format!(
        "{passed} passed, {failed} failed, {inconclusive} inconclusive, {skipped} skipped; {} distinct runs, {} traits of behaviour, \
         none new in the last {} seeds",
        coverage.digests(),
        coverage.traits(),
        coverage.stale()
    );
    if let Some(found) = found {
        let kept = &found.shrunk.kept;
        let how = if found.shrunk.minimal { "" } else { ", and fewer may do: raise --shrink-runs" };
        text += &format!(
            "\nseed {} fails with {} of its {} perturbations ({} runs to shrink{how})\n  {}",
            found.seed,
            kept.len(),
            found.of,
            found.runs,
            drawn(&found.ran.record)
        );
        for line in &found.ran.record.perturbed {
            text += &format!("\n    {line}");
        }
        text += &format!(
            "\n  {}\n  again: cargo ktstr sim replay {}",
            brief(&found.ran.record.message),
            found.ran.dir.display()
        );
    } else if let Some((seed, ran)) = &tally.worst {
        text += &format!(
            "\nseed {seed} fails; again: cargo ktstr sim replay {}\n  or see `cargo ktstr sim run {}`",
            ran.dir.display(),
            base_name(&test.name)
        );
    }
    text
}

fn summary_json(tally: &Tally, found: Option<&Found>) -> String {
    json!({
        "passed": tally.passed, "failed": tally.failed, "inconclusive": tally.inconclusive, "skipped": tally.skipped,
        "distinct_digests": tally.coverage.digests(), "traits": tally.coverage.traits(),
        "seeds_since_new_trait": tally.coverage.stale(),
        "shrunk": found.map(|f| json!({
            "seed": f.seed, "keep": as_list(&f.shrunk.kept), "kept": f.shrunk.kept.len(), "of": f.of, "minimal": f.shrunk.minimal,
            "runs": f.runs, "message": f.ran.record.message, "digest": f.ran.record.digest, "record": f.ran.dir,
        })),
    })
    .to_string()
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let bad = || "seeds are `A..B` (B left out) or `A..=B`, as `0..300`".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(bad)?;
    let (to, inclusive) = to.strip_prefix('=').map_or((to, false), |to| (to, true));
    let (from, to): (u64, u64) = (from.parse().map_err(|_| bad())?, to.parse().map_err(|_| bad())?);
    let end = if inclusive { to.checked_add(1).ok_or_else(bad)? } else { to };
    match end.checked_sub(from) {
        None => Err(format!("{text} is the wrong way round: write {to}..{from}")),
        Some(0) => Err(format!("{text} holds no seed: write {from}..={to}")),
        Some(count) if count > MOST => Err(format!("{text} are {count} seeds, more than {MOST}: search them in parts")),
        Some(_) => Ok(from..end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_seeds_is_rust_s() {
        assert_eq!((parse_seeds("3..5"), parse_seeds("3..=5")), (Ok(3..5), Ok(3..6)));
        for bad in ["5..3", "3..3", "3", "..", "a..b", "0..1000000", "-1..2"] {
            assert!(parse_seeds(bad).is_err(), "{bad}");
        }
    }
}

//! `cargo ktstr sim run`: each test once.

use super::attempt::{Draw, Out, brief, drawn, short};
use super::pool::Jobs;
use crate::find::Selection;
use anyhow::Result;
use ktstr_kernel::{Console, Progress as _};
use ktstr_verdict::Verdict;
use serde_json::json;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Run {
    /// NAME, ktstr/NAME or gauntlet/NAME/PRESET; all tests when left out
    tests: Vec<String>,
    #[command(flatten)]
    draw: Draw,
    #[command(flatten)]
    jobs: Jobs,
    #[command(flatten)]
    out: Out,
    /// For machines: one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

pub fn run(command: &Run) -> Result<ExitCode> {
    let progress = Console::new();
    let tests = command.selection.tests(&command.tests, &progress)?;
    let mut worst = Verdict::Pass;
    let mut count = 0;
    let one = |test: &_| command.draw.run(test, None, command.out.dir(test, "run")?, |_| {});
    progress.step(&format!("simulating {} tests", tests.len()));
    command.jobs.each(&tests, one, |index, ran: Result<_>| {
        count += 1;
        progress.step(&format!("{count} of {} simulated", tests.len()));
        let test = &tests[index];
        let verdict = ran.as_ref().map_or(Verdict::Fail, |ran| ran.record.verdict());
        worst = worse(worst, verdict);
        let line = match &ran {
            Err(e) if command.json => json!({"test": test.name, "verdict": verdict, "message": format!("{e:#}")}).to_string(),
            Err(e) => format!("{verdict:<12} {}\n      {e:#}", test.name),
            Ok(ran) if command.json => json!({
                "test": test.name, "verdict": verdict, "message": ran.record.message, "seed": ran.record.seed,
                "chaos": ran.record.chaos, "digest": ran.record.digest, "wall_s": ran.wall.as_secs_f64(), "record": ran.dir,
            })
            .to_string(),
            Ok(ran) => {
                let mut text = format!(
                    "{verdict:<12} {}  {}  digest {}  {:.1} s",
                    test.name,
                    drawn(&ran.record),
                    short(ran.record.digest.as_deref()),
                    ran.wall.as_secs_f64()
                );
                if !ran.record.message.is_empty() {
                    text += &format!("\n      {}", brief(&ran.record.message));
                }
                if verdict == Verdict::Fail && ran.record.digest.is_some() {
                    text += &format!("\n      again: cargo ktstr sim replay {}", ran.dir.display());
                }
                text
            }
        };
        progress.print(&line);
        true
    });
    progress.finish();
    Ok(ExitCode::from(u8::try_from(worst.exit_code()).unwrap_or(1)))
}

/// Fail > Inconclusive > the rest: what the exit code says of all.
fn worse(a: Verdict, b: Verdict) -> Verdict {
    let rank = |v: Verdict| match v {
        Verdict::Pass | Verdict::Skip => 0,
        Verdict::Inconclusive => 1,
        Verdict::Fail => 2,
    };
    if rank(b) > rank(a) { b } else { a }
}

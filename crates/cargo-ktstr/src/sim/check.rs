//! `cargo ktstr sim check`: each test twice, the second time on a busy host, and both bit for bit the same.

use super::attempt::{Draw, Out, Ran, brief, drawn, short};
use super::difference::{Difference, of_console, of_stream};
use super::load::Load;
use crate::find::{Selection, Test};
use anyhow::{Context as _, Result};
use ktstr_kernel::{Console, Progress as _};
use ktstr_verdict::Verdict;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Check {
    /// NAME, ktstr/NAME or gauntlet/NAME/PRESET; all tests when left out
    tests: Vec<String>,
    #[command(flatten)]
    draw: Draw,
    #[command(flatten)]
    out: Out,
    /// For machines: one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// What two runs of a test say together.
enum Compared {
    Same,
    Different(Vec<Difference>),
    /// Nothing to compare, and that proves nothing.
    Unproven(String),
    /// No machine was asked for: a host test, or a skip.
    NotSimulated(String),
}

pub fn run(command: &Check) -> Result<ExitCode> {
    let progress = Console::new();
    let tests = command.selection.tests(&command.tests, &progress)?;
    let (mut same, mut bad) = (0, 0);
    for (index, test) in tests.iter().enumerate() {
        let of = format!("{} of {}, {}", index + 1, tests.len(), test.name);
        let once = |what: &str, dir: &str| {
            progress.step(&format!("{of}: {what}"));
            command.draw.run(test, None, command.out.dir(test, dir)?, |_| {})
        };
        let pair = once("first run", "first").and_then(|first| {
            let load = Load::start();
            let second = once("second run, host loaded", "second");
            drop(load);
            Ok((first, second?))
        });
        let (runs, compared) = match pair {
            Ok((first, second)) => {
                let compared = compare(&first, &second)?;
                (Some((first, second)), compared)
            }
            Err(e) => (None, Compared::Unproven(format!("{e:#}"))),
        };
        match compared {
            Compared::Same => same += 1,
            Compared::Different(_) | Compared::Unproven(_) => bad += 1,
            Compared::NotSimulated(_) => {}
        }
        let line = if command.json {
            as_json(test, runs.as_ref(), &compared)
        } else {
            as_text(test, runs.as_ref(), &compared)
        };
        progress.print(&line);
    }
    progress.finish();
    if same + bad == 0 {
        eprintln!("error: nothing was compared, so nothing is proved; name a test that boots a machine");
    }
    Ok(if bad == 0 && same > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(first: &Ran, second: &Ran) -> Result<Compared> {
    for (ran, which) in [(first, "first"), (second, "second")] {
        let record = &ran.record;
        if record.verdict() == Verdict::Skip {
            return Ok(Compared::NotSimulated(format!("skipped: {}", record.message)));
        }
        if record.accelerator.is_none() && record.seed.is_none() && record.kernel_label.is_none() && record.passed {
            return Ok(Compared::NotSimulated("it boots no machine".into()));
        }
        if record.digest.is_none() {
            return Ok(Compared::Unproven(format!("the {which} run has no digest: {}", record.message)));
        }
    }
    let read = |dir: &Path, name: &str| {
        let path = dir.join(name);
        std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
    };
    let console = of_console(&read(&first.dir, "console")?, &read(&second.dir, "console")?);
    let stream = of_stream(&read(&first.dir, "stream")?, &read(&second.dir, "stream")?);
    let found: Vec<Difference> = console.into_iter().chain(stream).collect();
    Ok(match (found.is_empty(), first.record.digest == second.record.digest) {
        (true, true) => Compared::Same,
        (true, false) => {
            Compared::Unproven("the digests differ, and what was kept does not: this is a fault of ktstr".into())
        }
        (false, _) => Compared::Different(found),
    })
}

fn as_text(test: &Test, runs: Option<&(Ran, Ran)>, compared: &Compared) -> String {
    let name = &test.name;
    let of_runs = runs.map_or_else(String::new, |(first, second)| {
        let (a, b) = (first.record.digest.as_deref(), second.record.digest.as_deref());
        let digests = if a == b { short(a).to_owned() } else { format!("{} and {}", short(a), short(b)) };
        format!(
            "  {}  digest {digests}  {}  {:.1} s and {:.1} s",
            drawn(&first.record),
            first.record.verdict(),
            first.wall.as_secs_f64(),
            second.wall.as_secs_f64()
        )
    });
    match compared {
        Compared::Same => format!("same       {name}{of_runs}"),
        Compared::NotSimulated(why) => format!("not run    {name}: {}", brief(why)),
        Compared::Unproven(why) => format!("unproven   {name}{of_runs}\n      {}", brief(why)),
        Compared::Different(found) => {
            let mut text = format!("different  {name}{of_runs}");
            for d in found {
                text += &format!(
                    "\n      {} differs at byte {}: {}\n        first:  {}\n        second: {}",
                    d.of, d.at, d.place, d.first, d.second
                );
            }
            if let Some((first, second)) = runs {
                text += &format!("\n      kept in {} and {}", first.dir.display(), second.dir.display());
            }
            text
        }
    }
}

fn as_json(test: &Test, runs: Option<&(Ran, Ran)>, compared: &Compared) -> String {
    let (result, why, differences) = match compared {
        Compared::Same => ("same", None, None),
        Compared::Different(found) => ("different", None, Some(found)),
        Compared::Unproven(why) => ("unproven", Some(why), None),
        Compared::NotSimulated(why) => ("not-simulated", Some(why), None),
    };
    let both = |of: fn(&Ran) -> serde_json::Value| runs.map(|(first, second)| [of(first), of(second)]);
    json!({
        "test": test.name,
        "result": result,
        "why": why,
        "differences": differences,
        "seed": runs.and_then(|(first, _)| first.record.seed),
        "chaos": runs.and_then(|(first, _)| first.record.chaos.clone()),
        "digests": both(|r| json!(r.record.digest)),
        "verdicts": both(|r| json!(r.record.verdict())),
        "wall_s": both(|r| json!(r.wall.as_secs_f64())),
        "records": both(|r| json!(r.dir)),
    })
    .to_string()
}

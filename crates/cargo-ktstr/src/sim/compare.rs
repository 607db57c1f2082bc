//! `cargo ktstr sim compare`: two schedulers, or two sets of arguments, in the same simulated machine. Whatever differs is theirs.

use super::attempt::{Draw, Out, Ran, brief, drawn, short};
use super::figures::{Figures, Number, Row, rows};
use super::pool::Jobs;
use crate::find::{Selection, Test};
use anyhow::{Context as _, Result, ensure};
use ktstr_kernel::cache::sha256_file;
use ktstr_kernel::{Console, Progress as _};
use ktstr_sidecar::SidecarRecord;
use ktstr_verdict::Verdict;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Compare {
    /// NAME, ktstr/NAME or gauntlet/NAME/PRESET
    test: String,
    /// Binary of the scheduler on side A [default: the test's own]
    #[arg(long, value_name = "PATH")]
    scheduler_a: Option<PathBuf>,
    /// Binary of the scheduler on side B [default: the test's own]
    #[arg(long, value_name = "PATH")]
    scheduler_b: Option<PathBuf>,
    /// Words put behind the scheduler's arguments on side A
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    args_a: Option<String>,
    /// Words put behind the scheduler's arguments on side B
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    args_b: Option<String>,
    #[command(flatten)]
    draw: Draw,
    #[command(flatten)]
    jobs: Jobs,
    #[command(flatten)]
    out: Out,
    /// For machines: one object with every figure
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// What one side is made of.
struct Side {
    name: &'static str,
    scheduler: Option<PathBuf>,
    args: Vec<String>,
}

impl Side {
    fn new(name: &'static str, scheduler: Option<&PathBuf>, args: Option<&String>) -> Result<Self> {
        let scheduler = scheduler.map(|path| {
            path.canonicalize().with_context(|| format!("no scheduler {} for side {name}", path.display()))
        });
        let args = args.map(|words| words.split_whitespace().map(str::to_owned).collect()).unwrap_or_default();
        Ok(Self { name, scheduler: scheduler.transpose()?, args })
    }

    fn run(&self, command: &Compare, test: &Test) -> Result<Ran> {
        let dir = command.out.dir(test, &format!("compare-{}", self.name))?;
        command.draw.run(test, None, dir, |child| {
            child.env("KTSTR_SCHEDULER_ARGS", self.args.join(" "));
            if let Some(path) = &self.scheduler {
                child.env("KTSTR_SCHEDULER", path);
            }
        })
    }

    /// That what was asked for is what ran.
    fn confirm(&self, record: &SidecarRecord) -> Result<()> {
        let name = self.name;
        ensure!(
            record.digest.is_some() && record.verdict() != Verdict::Skip,
            "side {name} gave nothing to compare: {}",
            brief(&record.message)
        );
        ensure!(
            record.scheduler_args == self.args,
            "side {name} was to run with `{}`, and `{}` takes no arguments: its scheduler is no program",
            self.args.join(" "),
            record.test_name
        );
        if let Some(path) = &self.scheduler {
            ensure!(
                record.scheduler_binary_hash.as_deref() == Some(sha256_file(path)?.as_str()),
                "side {name} was to run {}, and `{}` did not: its scheduler is not declared by `binary`",
                path.display(),
                record.test_name
            );
        }
        Ok(())
    }
}

pub fn run(command: &Compare) -> Result<ExitCode> {
    let progress = Console::new();
    let sides = [
        Side::new("A", command.scheduler_a.as_ref(), command.args_a.as_ref())?,
        Side::new("B", command.scheduler_b.as_ref(), command.args_b.as_ref())?,
    ];
    let test = command.selection.one(&command.test, &progress)?;
    progress.step(&format!("simulating both sides of {}", test.name));
    let mut ran = [None, None];
    command.jobs.each(
        &sides,
        |side| side.run(command, &test),
        |index, result| {
            let go_on = result.is_ok();
            ran[index] = Some(result);
            go_on
        },
    );
    progress.finish();
    let [a, b] = ran.map(|side| side.context("the other side was not begun").flatten());
    // The first trouble, not that the other side was left out for it.
    let (a, b) = match (a, b) {
        (Ok(a), Ok(b)) => (a, b),
        (a, b) => {
            let mut trouble: Vec<anyhow::Error> = [a.err(), b.err()].into_iter().flatten().collect();
            trouble.sort_by_key(|e| e.to_string().starts_with("the other side"));
            return Err(trouble.swap_remove(0));
        }
    };
    for (side, ran) in sides.iter().zip([&a, &b]) {
        side.confirm(&ran.record)?;
    }
    same_machine(&a.record, &b.record)?;
    let rows = rows(&Figures::of(&a.record)?, &Figures::of(&b.record)?);
    ensure!(!rows.is_empty(), "{} measured nothing, so nothing is compared", test.name);
    let text =
        if command.json { as_json(&test, &sides, [&a, &b], &rows) } else { as_text(&test, &sides, [&a, &b], &rows) };
    println!("{text}");
    let passed = |ran: &Ran| ran.record.verdict() == Verdict::Pass;
    Ok(if passed(&a) && passed(&b) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Two machines that differ in more than the scheduler prove nothing about it.
fn same_machine(a: &SidecarRecord, b: &SidecarRecord) -> Result<()> {
    let of = |r: &SidecarRecord| {
        (
            (r.seed, r.chaos.clone(), r.topology.clone()),
            (r.kernel_hash.clone(), r.qemu_version.clone(), r.binary_hash.clone()),
        )
    };
    ensure!(
        of(a) == of(b),
        "the sides did not run in the same machine: something was built anew between them; run it again"
    );
    Ok(())
}

fn as_text(test: &Test, sides: &[Side; 2], ran: [&Ran; 2], rows: &[Row]) -> String {
    let mut text = format!("{}  {}", test.name, drawn(&ran[0].record));
    for (side, ran) in sides.iter().zip(ran) {
        let record = &ran.record;
        text += &format!(
            "\n  {}: {}  digest {}  scheduler {} {}  {:.1} s",
            side.name,
            record.verdict(),
            short(record.digest.as_deref()),
            short(record.scheduler_binary_hash.as_deref()),
            side.args.join(" "),
            ran.wall.as_secs_f64()
        );
        if !record.message.is_empty() {
            text += &format!("\n      {}", brief(&record.message));
        }
    }
    let differ: Vec<&Row> = rows.iter().filter(|r| r.differs()).collect();
    if !differ.is_empty() {
        text += &format!("\n  {:<44} {:>18} {:>18} {:>18}", "figure", "A", "B", "B - A");
    }
    for row in &differ {
        let word = |n: Option<String>| n.unwrap_or_else(|| "-".to_owned());
        let (a, b) = (row.a.map(|n| n.to_string()), row.b.map(|n| n.to_string()));
        text += &format!(
            "\n  {:<44} {:>18} {:>18} {:>18}",
            row.name,
            word(a),
            word(b),
            word(row.difference().map(|n| n.to_string()))
        );
    }
    text + &format!("\n{} figures, {} differ", rows.len(), differ.len())
}

fn as_json(test: &Test, sides: &[Side; 2], ran: [&Ran; 2], rows: &[Row]) -> String {
    let side = |side: &Side, ran: &Ran| {
        json!({
            "verdict": ran.record.verdict(), "message": ran.record.message, "digest": ran.record.digest, "args": side.args,
            "scheduler": ran.record.scheduler_binary_hash, "wall_s": ran.wall.as_secs_f64(), "record": ran.dir,
        })
    };
    let figure = |row: &Row| {
        let number = |n: Option<Number>| n.map(Number::as_json);
        (row.name.clone(), json!({"a": number(row.a), "b": number(row.b), "difference": number(row.difference())}))
    };
    json!({
        "test": test.name, "seed": ran[0].record.seed, "chaos": ran[0].record.chaos,
        "a": side(&sides[0], ran[0]), "b": side(&sides[1], ran[1]),
        "differ": rows.iter().filter(|r| r.differs()).count(),
        "figures": rows.iter().map(figure).collect::<serde_json::Map<_, _>>(),
    })
    .to_string()
}

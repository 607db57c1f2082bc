//! `cargo ktstr perf-delta`.

use anyhow::{Result, ensure};
use clap::Args;
use ktstr_sidecar::{Question, Rows, compare, delta_json, delta_text};
use ktstr_verdict::Verdict;
use std::path::{Path, PathBuf};

/// Two sets of records.
#[derive(Args)]
#[command(
    after_help = "A run overwrites the records of the run before it: give each repeat a KTSTR_SIDECAR_DIR of its own below A or B.\n\nExit codes: 0 nothing got worse, 1 something did, 2 the samples carry no verdict.\n\nExamples:\n  cargo ktstr perf-delta runs/before runs/after\n  cargo ktstr perf-delta runs/6.18 runs/7.3 --across-kernels"
)]
pub struct PerfDelta {
    /// Directory of the old records, with all repeats below it
    old: PathBuf,
    /// Directory of the new records
    new: PathBuf,
    /// Chance of any false alarm in the whole comparison
    #[arg(long, default_value_t = 0.05)]
    level: f64,
    /// Match rows whatever their kernel
    #[arg(long)]
    across_kernels: bool,
    /// Match rows whatever their scheduler
    #[arg(long)]
    across_schedulers: bool,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Compares, prints, and answers with the verdict.
pub fn run(options: &PerfDelta) -> Result<Verdict> {
    ensure!(options.level > 0.0 && options.level < 1.0, "--level is a chance: more than 0 and less than 1");
    let (old, damaged_old) = rows(&options.old)?;
    let (new, damaged_new) = rows(&options.new)?;
    let comparison = compare(
        &old,
        &new,
        Question {
            level: options.level,
            across_kernels: options.across_kernels,
            across_schedulers: options.across_schedulers,
        },
    );
    if options.json {
        println!("{}", delta_json(&comparison));
    } else {
        print!("{}", delta_text(&comparison));
    }
    let verdict = comparison.verdict();
    // What a damaged record would have said is not known.
    if damaged_old + damaged_new > 0 && verdict == Verdict::Pass {
        eprintln!("inconclusive: records are damaged");
        return Ok(Verdict::Inconclusive);
    }
    Ok(verdict)
}

fn rows(dir: &Path) -> Result<(Rows, usize)> {
    ensure!(dir.is_dir(), "{} is not a directory", dir.display());
    let scanned = ktstr_sidecar::scan::<Rows>(dir)?;
    for damage in &scanned.damaged {
        eprintln!("damaged record: {damage}");
    }
    Ok((scanned.folded, scanned.damaged.len()))
}

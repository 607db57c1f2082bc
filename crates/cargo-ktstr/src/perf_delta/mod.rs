//! `cargo ktstr perf-delta`.

mod sides;

use anyhow::{Result, bail, ensure};
use clap::Args;
use ktstr_sidecar::{Question, Rows, compare, delta_json, delta_text};
use ktstr_verdict::Verdict;
use std::path::{Path, PathBuf};

/// Two sets of records, or two sides to make them of.
#[derive(Args)]
#[command(
    after_help = "A run overwrites the records of the run before it: give each repeat a KTSTR_SIDECAR_DIR of its own below A or B.\n\nExit codes: 0 nothing got worse, 1 something did, 2 the samples carry no verdict.\n\nExamples:\n  cargo ktstr perf-delta runs/before runs/after\n  cargo ktstr perf-delta runs/6.18 runs/7.3 --across-kernels\n  cargo ktstr perf-delta --base main --kernel 6.18 -- -p my-tests\n  cargo ktstr perf-delta --schedulers old/scx_mine new/scx_mine --kernel 6.18"
)]
pub struct PerfDelta {
    /// Directory of the old records, with all repeats below it
    #[arg(required_unless_present_any = ["base", "schedulers"], requires = "new")]
    old: Option<PathBuf>,
    /// Directory of the new records
    new: Option<PathBuf>,
    /// Build this commit in a worktree, and run its tests and the ones here in turn
    #[arg(long, value_name = "REF", conflicts_with = "old")]
    base: Option<String>,
    /// Run the tests here with these two binaries of the scheduler in turn
    #[arg(long, value_names = ["OLD", "NEW"], num_args = 2, conflicts_with_all = ["old", "base"])]
    schedulers: Vec<PathBuf>,
    /// Runs of each side
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = runs)]
    runs: usize,
    /// Version, series, range, .deb, path or cache entry; may be repeated
    #[arg(long, value_name = "KERNEL", conflicts_with = "old")]
    kernel: Vec<String>,
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
    /// For nextest, as they are
    #[arg(last = true, value_name = "NEXTEST ARGS", conflicts_with = "old")]
    passed_on: Vec<String>,
}

fn runs(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or_else(|| "a number from 1 to 1000".to_owned())
}

/// Compares, prints, and answers with the verdict.
pub fn run(options: &PerfDelta) -> Result<Verdict> {
    ensure!(options.level > 0.0 && options.level < 1.0, "--level is a chance: more than 0 and less than 1");
    let (old, new) = match (&options.old, &options.new) {
        (Some(old), Some(new)) => (old.clone(), new.clone()),
        (None, None) => sides::run(&sides::Wanted {
            base: options.base.as_deref(),
            schedulers: &options.schedulers,
            kernels: &options.kernel,
            runs: options.runs,
            passed_on: &options.passed_on,
        })?,
        _ => bail!("perf-delta compares two directories: name both, or --base REF"),
    };
    let (old, damaged_old) = rows(&old)?;
    let (new, damaged_new) = rows(&new)?;
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

//! `cargo ktstr verifier`: the sweep, and a grid for each scheduler.

use crate::kernels::{self, Kernel};
use crate::{cargo, session, test};
use anyhow::{Context as _, Result, bail};
use ktstr_kernel::cache::Cache;
use ktstr_sidecar::{VERIFIER_LIMIT, VERIFIER_WARNING, VerifierRecord};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};

/// Load, attach and dispatch every declared scheduler, on each kernel and preset.
#[derive(clap::Args, Debug)]
pub struct Verifier {
    /// Only this scheduler
    #[arg(long, value_name = "NAME")]
    scheduler: Option<String>,
    /// Version, range, .deb, path or cache entry; may be repeated. All cached kernels with sched_ext when left out
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<String>,
    /// Only this preset; may be repeated
    #[arg(long, value_name = "NAME")]
    preset: Vec<String>,
    /// Verifier logs as they are, repeated blocks and all
    #[arg(long)]
    raw: bool,
    /// Multiplies the host CPUs that presets may use
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = test::overcommit)]
    overcommit: Option<f64>,
    /// A line of JSON for each cell
    #[arg(long)]
    json: bool,
    /// For nextest, as they are
    #[arg(last = true, value_name = "NEXTEST ARGS")]
    passed_on: Vec<String>,
}

/// Runs it.
pub fn run(verifier: &Verifier) -> Result<ExitCode> {
    for name in &verifier.preset {
        if ktstr_topology::preset(name).is_none() {
            let names: Vec<&str> = ktstr_topology::presets().iter().map(|p| p.name).collect();
            bail!("`{name}` is not a preset; there are {}", names.join(", "));
        }
    }
    let kernels = if verifier.kernel.is_empty() { all_cached()? } else { kernels::resolve(&verifier.kernel)? };
    let results = cargo::harness_dir(&verifier.passed_on)?.join(format!("verifier-{}", session::token()));
    let expected = cells(&command(verifier, &kernels, "list")?)?;
    if expected.is_empty() {
        bail!(
            "no verifier cells: no declared scheduler{} has a program here and a preset that fits ({} kernels); \
             build or install it (`cargo ktstr scheduler install NAME`), or raise --overcommit",
            verifier.scheduler.as_ref().map(|s| format!(" `{s}`")).unwrap_or_default(),
            kernels.len()
        );
    }
    let mut sweep = command(verifier, &kernels, "run")?;
    sweep.env("KTSTR_VERIFIER_RESULT_DIR", &results);
    if verifier.json {
        sweep.stdout(Stdio::from(std::io::stderr()));
    }
    let status = sweep.status().context("failed to start cargo nextest")?;
    let (records, damaged) = VerifierRecord::read_all(&results).unwrap_or_default();
    let grid = Grid::new(&expected, &records, &kernels);
    if verifier.json {
        records.iter().filter_map(|r| serde_json::to_string(r).ok()).for_each(|line| println!("{line}"));
    } else {
        print!("{}", grid.draw());
        print!("{}", ranges(&records));
    }
    damaged.iter().for_each(|file| eprintln!("ktstr: WARNING: damaged record {file}"));
    eprintln!("ktstr: records of the cells are in {}", results.display());
    // A cell without a pass is red, whatever the runner made of it; a runner that failed is never green.
    Ok(if grid.is_green() { cargo::code_of(status) } else { ExitCode::FAILURE })
}

fn all_cached() -> Result<Vec<Kernel>> {
    let entries = Cache::open()?.entries()?;
    let kernels: Vec<Kernel> = entries
        .iter()
        .filter(|e| e.metadata().sched_ext)
        .map(|e| Kernel { label: e.label().to_owned(), path: e.dir().to_owned() })
        .collect();
    if kernels.is_empty() {
        bail!("no kernel with sched_ext is cached; run `cargo ktstr kernel fetch`, or give --kernel");
    }
    Ok(kernels)
}

fn command(verifier: &Verifier, kernels: &[Kernel], verb: &str) -> Result<Command> {
    let mut command = cargo::nextest()?;
    let presets: Vec<&str> = verifier.preset.iter().map(String::as_str).collect();
    let tail = if presets.is_empty() { String::new() } else { format!(".*\\/({})$", presets.join("|")) };
    command.args([verb, "--run-ignored", "all", "-E", &format!("test(/^verifier\\/{tail}/)")]);
    if verb == "list" {
        command.args(["--message-format", "json", "--cargo-quiet"]).args(cargo::listing_words(&verifier.passed_on));
    } else {
        command.args(["--no-fail-fast", "--no-tests", "fail"]).args(&verifier.passed_on);
    }
    command
        .env("KTSTR_KERNEL_LIST", test::list(kernels)?)
        .env_remove("KTSTR_KERNEL")
        .env_remove("KTSTR_BUDGET_SECS")
        .env_remove("KTSTR_CARGO_TEST_MODE");
    if let Some(name) = &verifier.scheduler {
        command.env("KTSTR_VERIFIER_SCHEDULER", name);
    }
    if verifier.raw {
        command.env("KTSTR_VERIFIER_RAW", "1");
    }
    if let Some(n) = verifier.overcommit {
        command.env("KTSTR_OVERCOMMIT", n.to_string());
    }
    Ok(command)
}

/// Scheduler, sanitised kernel and preset.
type CellName = (String, String, String);

fn cells(command: &Command) -> Result<BTreeSet<CellName>> {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => again.env(name, value),
            None => again.env_remove(name),
        };
    }
    let output = again.stderr(Stdio::inherit()).output().context("failed to start cargo nextest")?;
    if !output.status.success() {
        bail!("the verifier cells could not be listed; what cargo said is above");
    }
    let listed: Value = serde_json::from_slice(&output.stdout).context("nextest answered something else than JSON")?;
    let suites = listed["rust-suites"].as_object().into_iter().flatten();
    let names = suites.flat_map(|(_, suite)| suite["testcases"].as_object().into_iter().flatten());
    let chosen = names.filter(|(_, case)| case["filter-match"]["status"] == json!("matches"));
    Ok(chosen.filter_map(|(name, _)| cell_name(name)).collect())
}

fn cell_name(test: &str) -> Option<CellName> {
    let mut parts = test.strip_prefix("verifier/")?.rsplitn(3, '/').map(str::to_owned);
    let (preset, kernel, scheduler) = (parts.next()?, parts.next()?, parts.next()?);
    Some((scheduler, kernel, preset))
}

/// What is shown for a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// Not offered, or skipped.
    None,
    /// Loaded, enabled, dispatching.
    Pass,
    /// A gate stayed closed, or there is no record of it.
    Fail,
}

struct Grid {
    kernels: Vec<(String, String)>,
    marks: BTreeMap<String, BTreeMap<String, BTreeMap<String, Mark>>>,
    reasons: Vec<String>,
}

impl Grid {
    fn new(expected: &BTreeSet<CellName>, records: &[VerifierRecord], kernels: &[Kernel]) -> Self {
        let sanitized = |label: &str| ktstr_kernel::sanitize_kernel_label(label).as_str().to_owned();
        let mut grid = Self {
            kernels: kernels.iter().map(|k| (sanitized(&k.label), k.label.clone())).collect(),
            marks: BTreeMap::new(),
            reasons: Vec::new(),
        };
        for (scheduler, kernel, preset) in expected {
            let of = records
                .iter()
                .filter(|r| r.scheduler == *scheduler && r.preset == *preset && sanitized(&r.kernel) == *kernel);
            let (mut mark, mut seen) = (Mark::None, false);
            for record in of {
                seen = true;
                let (one, why) = judge(record);
                mark = mark.max(one);
                if let Some(why) = why {
                    grid.reasons.push(format!("{scheduler} on {preset}, kernel {}: {why}", record.kernel));
                }
            }
            if !seen {
                mark = Mark::Fail;
                grid.reasons.push(format!("{scheduler} on {preset}, {kernel}: ✗ no record: it was not run to its end"));
            }
            let rows = grid.marks.entry(scheduler.clone()).or_default();
            rows.entry(preset.clone()).or_default().insert(kernel.clone(), mark);
        }
        grid
    }

    /// Every cell that was offered has a record, none failed, and one at least passed.
    fn is_green(&self) -> bool {
        let mut all = self.marks.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values).peekable();
        let marks: Vec<&Mark> = all.by_ref().collect();
        marks.contains(&&Mark::Pass) && !marks.contains(&&Mark::Fail)
    }

    fn draw(&self) -> String {
        let mut out = String::new();
        for (scheduler, rows) in &self.marks {
            let width = rows.keys().map(String::len).max().unwrap_or(0).max(scheduler.len());
            let heads: Vec<&str> = self.kernels.iter().map(|(_, label)| label.as_str()).collect();
            let _ = writeln!(out, "{scheduler:<width$}  {}", heads.join("  "));
            for (preset, marks) in rows {
                let _ = write!(out, "{preset:<width$}");
                for (kernel, label) in &self.kernels {
                    let mark = match marks.get(kernel) {
                        Some(Mark::Pass) => '✓',
                        Some(Mark::Fail) => '✗',
                        Some(Mark::None) | None => '–',
                    };
                    let _ = write!(out, "  {mark:<columns$}", columns = label.chars().count());
                }
                out.truncate(out.trim_end().len());
                out.push('\n');
            }
            out.push('\n');
        }
        for reason in &self.reasons {
            let _ = writeln!(out, "{reason}");
        }
        out
    }
}

fn judge(record: &VerifierRecord) -> (Mark, Option<String>) {
    let reason = record.message.lines().next().unwrap_or("no reason was given");
    match record.verdict.as_str() {
        "pass" => (Mark::Pass, None),
        "skip" => (Mark::None, Some(format!("– skipped: {reason}"))),
        _ => (Mark::Fail, Some(format!("✗ {}: {reason}", record.gate.as_deref().unwrap_or("?")))),
    }
}

/// The fewest and the most instructions of each program over all cells.
fn ranges(records: &[VerifierRecord]) -> String {
    let mut seen: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for record in records {
        for (program, &count) in &record.verified_insns {
            let (least, most) = seen.entry((&record.scheduler, program)).or_insert((count, count));
            (*least, *most) = ((*least).min(count), (*most).max(count));
        }
    }
    let mut out = String::new();
    for ((scheduler, program), (least, most)) in seen {
        let range = if least == most { least.to_string() } else { format!("{least}–{most}") };
        let share = most * 100 / VERIFIER_LIMIT;
        let warning =
            if most >= VERIFIER_WARNING { format!("  WARNING: {share} % of the limit") } else { String::new() };
        let _ = writeln!(out, "{scheduler:<20} {program:<16} {range:>15} instructions{warning}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kernel: &str, preset: &str, verdict: &str, insns: u64) -> VerifierRecord {
        VerifierRecord {
            scheduler: "bpfland".into(),
            kernel: kernel.into(),
            preset: preset.into(),
            verdict: verdict.into(),
            gate: (verdict != "pass").then(|| "load".into()),
            message: "it exited\nmore".into(),
            verified_insns: BTreeMap::from([("enqueue".into(), insns)]),
            ..VerifierRecord::default()
        }
    }

    fn grid(records: &[VerifierRecord]) -> Grid {
        let cell = |kernel: &str, preset: &str| cell_name(&format!("verifier/bpfland/{kernel}/{preset}")).unwrap();
        let expected =
            BTreeSet::from([cell("kernel_6_18", "tiny"), cell("kernel_7_3", "tiny"), cell("kernel_6_18", "large-one")]);
        let kernel = |label: &str| Kernel { label: label.into(), path: "/k".into() };
        Grid::new(&expected, records, &[kernel("6.18"), kernel("7.3")])
    }

    #[test]
    fn rows_are_presets_columns_are_kernels_and_the_gate_is_named_below() {
        let seen = grid(&[
            record("6.18", "tiny", "pass", 1),
            record("7.3", "tiny", "fail", 1),
            record("6.18", "large-one", "pass", 1),
        ]);
        assert!(!seen.is_green());
        assert_eq!(
            seen.draw(),
            "bpfland    6.18  7.3\nlarge-one  ✓     –\ntiny       ✓     ✗\n\nbpfland on tiny, kernel 7.3: ✗ load: it exited\n"
        );
    }

    #[test]
    fn a_cell_without_a_record_is_red_and_a_sweep_of_skips_is_not_green() {
        let lost = grid(&[record("6.18", "tiny", "pass", 1), record("6.18", "large-one", "pass", 1)]);
        assert!(!lost.is_green() && lost.draw().contains("no record"));
        let all = ["6.18 tiny", "7.3 tiny", "6.18 large-one"].map(|c| c.split_once(' ').unwrap());
        assert!(!grid(&all.map(|(k, p)| record(k, p, "skip", 1))).is_green());
        assert!(grid(&all.map(|(k, p)| record(k, p, "pass", 1))).is_green());
    }

    #[test]
    fn a_binary_that_fails_outweighs_another_that_passes() {
        let other = VerifierRecord { binary: "b".into(), ..record("6.18", "tiny", "pass", 1) };
        let all = [
            record("6.18", "tiny", "fail", 1),
            other,
            record("7.3", "tiny", "pass", 1),
            record("6.18", "large-one", "pass", 1),
        ];
        assert!(!grid(&all).is_green());
    }

    #[test]
    fn instruction_counts_are_a_range_with_a_warning_from_three_quarters() {
        let text = ranges(&[record("6.18", "a", "pass", 1000), record("7.3", "a", "pass", 760_000)]);
        assert!(text.contains("1000–760000 instructions  WARNING: 76 % of the limit"), "{text}");
        assert!(!ranges(&[record("6.18", "a", "pass", 749_999)]).contains("WARNING"));
    }
}

//! `cargo ktstr stats …`.

use crate::place::Place;
use crate::shard::merge::{self, Merge};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use ktstr_sidecar::{
    Gathered, METRICS, Question, Report, Row, RowKey, Rows, Scanned, Series, annotations, compare, markdown, metric_of,
    number, row_json,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What records say.
#[derive(Subcommand)]
pub enum Stats {
    /// One line for each test × topology × kernel × scheduler
    List(Where),
    /// Every figure of the rows whose test has this name
    Show {
        /// Name of a test
        test: String,
        #[command(flatten)]
        place: Where,
    },
    /// All of it as Markdown
    Summary {
        #[command(flatten)]
        place: Where,
        /// Workflow commands for GitHub instead: one for each run that did not pass
        #[arg(long)]
        github: bool,
    },
    /// All of it as one HTML file that opens from disk
    Html {
        /// Directory of records; KTSTR_SIDECAR_DIR or the latest run's when left out
        dir: Option<PathBuf>,
        /// The file
        #[arg(short, long, default_value = "ktstr-report.html")]
        output: PathBuf,
        /// What it says at the top
        #[arg(long, default_value = "ktstr report")]
        title: String,
        /// Directory of older records to compare with
        #[arg(long)]
        against: Option<PathBuf>,
    },
    /// Figures that the records hold, with unit, polarity and gates
    ListMetrics(Where),
    /// Hosts that the records come from
    ShowHost(Where),
    /// The records of all shards as one set; one that is not whole is an error
    #[command(
        after_help = "Example:\n  cargo ktstr stats merge records --plan shards/plan.json --into merged\n\nExit codes: 0 whole and nothing failed, 1 a test failed or a shard is missing, 2 some are inconclusive."
    )]
    Merge(Merge),
}

/// Which records.
#[derive(Args)]
pub struct Where {
    /// Directory of records; KTSTR_SIDECAR_DIR or the latest run's when left out
    dir: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub fn run(command: &Stats) -> Result<ExitCode> {
    let done = |result: Result<()>| result.map(|()| ExitCode::SUCCESS);
    match command {
        Stats::List(place) => done(list(place)),
        Stats::Show { test, place } => done(show(test, place)),
        Stats::Summary { place, github } => done(summary(place, *github)),
        Stats::Html { dir, output, title, against } => done(html(dir.as_deref(), output, title, against.as_deref())),
        Stats::ListMetrics(place) => done(list_metrics(place)),
        Stats::ShowHost(place) => done(show_host(place)),
        Stats::Merge(merge) => merge::run(merge),
    }
}

fn records(place: &Where) -> Result<Scanned<Rows>> {
    let place = Place::new(place.dir.as_deref())?;
    let scanned = place.scan::<Rows>()?;
    for damage in &scanned.damaged {
        eprintln!("damaged record: {damage}");
    }
    if !scanned.damaged.is_empty() {
        eprintln!("{} damaged records are in no figure below", scanned.damaged.len());
    }
    if scanned.records == 0 {
        eprintln!("no record lies in {}", place.root.display());
    }
    Ok(scanned)
}

fn list(place: &Where) -> Result<()> {
    let scanned = records(place)?;
    if place.json {
        for (key, row) in &scanned.folded.rows {
            println!("{}", json!({"row": key, "runs": row.tally, "pass_rate": row.tally.pass_rate()}));
        }
        return Ok(());
    }
    let width = scanned.folded.rows.keys().map(|k| plain(&k.test).chars().count()).max().unwrap_or(0).max(4);
    println!(
        "{:<width$}  {:<14} {:<10} {:<14} {:>5} {:>7} {:>9}",
        "test", "topology", "kernel", "scheduler", "runs", "passed", "wall"
    );
    for (key, row) in &scanned.folded.rows {
        let wall =
            row.figures.get("wall_ms").and_then(Series::median).map_or_else(|| "-".into(), |ms| number(ms, "ms"));
        let rate = row.tally.pass_rate().map_or_else(|| "-".into(), |rate| format!("{:.0} %", rate * 100.0));
        println!(
            "{:<width$}  {:<14} {:<10} {:<14} {:>5} {rate:>7} {wall:>9}",
            plain(&key.test),
            plain(&key.topology),
            plain(&key.kernel),
            plain(&key.scheduler),
            row.tally.all()
        );
    }
    Ok(())
}

/// A record's words may hold anything; a terminal obeys control characters.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn show(test: &str, place: &Where) -> Result<()> {
    let scanned = records(place)?;
    let rows: Vec<(&RowKey, &Row)> = scanned.folded.rows.iter().filter(|(key, _)| key.test == test).collect();
    if rows.is_empty() {
        bail!("no record is of the test `{test}`; `cargo ktstr stats list` shows the tests there are");
    }
    for (key, row) in rows {
        if place.json {
            println!("{}", row_json(key, row));
            continue;
        }
        let tally = row.tally;
        println!(
            "{} on {}, kernel {}, {}",
            plain(&key.test),
            plain(&key.topology),
            plain(&key.kernel),
            plain(&key.scheduler)
        );
        println!(
            "  {} passed, {} failed, {} inconclusive, {} skipped, {} of a later attempt",
            tally.passed, tally.failed, tally.inconclusive, tally.skipped, row.retries
        );
        for (name, series) in &row.figures {
            let unit = metric_of(name).unit;
            let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| number(v, unit));
            let (low, high) = series.ends().unzip();
            println!(
                "  {:<34} {:>12}   from {} to {}, {} runs",
                plain(name),
                text(series.median()),
                text(low),
                text(high),
                series.count()
            );
        }
        for evidence in &row.evidence {
            println!("  {} {}", evidence.verdict, evidence.path.display());
            evidence.message.lines().for_each(|line| println!("    {}", plain(line)));
        }
    }
    Ok(())
}

fn summary(place: &Where, github: bool) -> Result<()> {
    let scanned = records(place)?;
    if github {
        print!("{}", annotations(&scanned.folded));
    } else if place.json {
        let rows: Vec<_> = scanned.folded.rows.iter().map(|(key, row)| row_json(key, row)).collect();
        let damaged: Vec<String> = scanned.damaged.iter().map(ToString::to_string).collect();
        println!("{}", json!({"runs": scanned.folded.tally(), "rows": rows, "damaged": damaged}));
    } else {
        print!("{}", markdown(&scanned));
    }
    Ok(())
}

fn html(dir: Option<&Path>, output: &Path, title: &str, against: Option<&Path>) -> Result<()> {
    let place = Place::new(dir)?;
    let scanned = place.scan::<Gathered>()?;
    let before = against.map(|old| Place::new(Some(old))).transpose()?;
    let comparison = match &before {
        Some(old) => {
            let old = old.scan::<Rows>()?;
            Some(compare(&old.folded, &scanned.folded.rows(), Question::default()))
        }
        None => None,
    };
    let name = before.as_ref().map(|old| old.root.display().to_string()).unwrap_or_default();
    let against = comparison.as_ref().map(|comparison| (name.as_str(), comparison));
    let page = ktstr_sidecar::html(&Report { title, scanned: &scanned, root: &place.root, against });
    std::fs::write(output, page).with_context(|| format!("failed to write {}", output.display()))?;
    eprintln!("{} records, {} damaged", scanned.records, scanned.damaged.len());
    println!("{}", output.display());
    Ok(())
}

fn list_metrics(place: &Where) -> Result<()> {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let scanned = records(place)?;
    for (name, series) in scanned.folded.rows.values().flat_map(|row| &row.figures) {
        *seen.entry(name).or_default() += series.count();
    }
    if seen.is_empty() {
        // Nothing was measured here: the registry itself.
        METRICS.iter().for_each(|m| {
            seen.insert(m.name, 0);
        });
    }
    for (name, count) in seen {
        let m = metric_of(name);
        if place.json {
            println!(
                "{}",
                json!({"name": name, "values": count, "unit": m.unit, "better": m.polarity.word(),
                       "absolute_gate": m.absolute, "relative_gate": m.relative, "meaning": m.meaning})
            );
        } else {
            let gates = format!("{} and {:.0} %", number(m.absolute, m.unit), m.relative * 100.0);
            println!("{:<34} {:>8}  {:<7} {gates}\n    {}", plain(name), count, m.polarity.word(), m.meaning);
        }
    }
    Ok(())
}

fn show_host(place: &Where) -> Result<()> {
    for (host, count) in records(place)?.folded.hosts {
        if place.json {
            println!("{}", json!({"host": host, "records": count}));
            continue;
        }
        let text = |value: Option<String>| value.map_or_else(|| "?".to_owned(), |v| plain(&v));
        println!(
            "{count:>7} records: {}, {} CPUs, kernel {}, governor {}",
            text(host.cpu),
            text(host.cpus.map(|n| n.to_string())),
            text(host.kernel),
            text(host.governor)
        );
    }
    Ok(())
}

//! `cargo ktstr test`: kernels and switches, then nextest, then what really ran.

use crate::budget::{self, Chosen};
use crate::kernels::{self, Kernel};
use crate::offer::Offer;
use crate::shard::end;
use crate::{cargo, session};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use ktstr_budget::Secs;
use ktstr_kernel::write_kernel_list;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Who executes the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    /// kvm where a probe guest runs, else tcg
    Auto,
    /// Hardware virtualisation
    Kvm,
    /// QEMU's translator
    Tcg,
    /// QEMU's translator in virtual time
    Sim,
}

/// Kernels, switches, and what nextest gets.
#[derive(clap::Args, Debug, Default)]
pub struct Test {
    /// Version, series, range (6.16..7.1), .deb, path or cache entry; may be repeated. Missing ones are fetched
    #[arg(long, value_name = "KERNEL")]
    pub kernel: Vec<String>,
    /// Who executes the machines
    #[arg(long)]
    pub accel: Option<Accel>,
    /// Build tests and schedulers with the release profile
    #[arg(long, conflicts_with = "profile")]
    pub release: bool,
    /// Build tests and schedulers with this cargo profile (nextest's own is `-- --profile NAME`)
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Skip tests in performance mode
    #[arg(long)]
    pub no_perf_mode: bool,
    /// What would be skipped fails
    #[arg(long)]
    pub no_skip_mode: bool,
    /// Host CPUs that one machine may take
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub cpu_cap: Option<u32>,
    /// Only the tests that cover most in so many seconds, over all test binaries
    #[arg(long, value_name = "SECS", allow_negative_numbers = true, value_parser = seconds)]
    pub budget: Option<f64>,
    /// Every preset that fits the host, too
    #[arg(long)]
    pub gauntlet: bool,
    /// Multiplies the host CPUs that presets may use
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = overcommit)]
    pub overcommit: Option<f64>,
    /// For nextest, as they are
    #[arg(last = true, value_name = "NEXTEST ARGS")]
    pub passed_on: Vec<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(secs) if secs.is_finite() && secs > 0.0 => Ok(secs),
        _ => Err("a positive number of seconds".to_owned()),
    }
}

pub fn overcommit(text: &str) -> Result<f64, String> {
    ktstr_topology::parse_overcommit(Some(text)).map_err(|_| "a positive number".to_owned())
}

/// Runs it.
pub fn run(test: &Test) -> Result<ExitCode> {
    let kernels = kernels::resolve(&test.kernel)?;
    run_on(test, &kernels, |_| ())
}

/// The same with the kernels already found, and nextest's commands changed.
pub fn run_on(test: &Test, kernels: &[Kernel], change: impl Fn(&mut Command)) -> Result<ExitCode> {
    let chosen = match budget(test)? {
        Some(seconds) => Some(within(test, kernels, seconds, &change)?),
        None => None,
    };
    run_chosen(test, kernels, chosen.as_ref(), change)
}

/// The same whatever the budget, which has been spent.
pub fn run_chosen(
    test: &Test,
    kernels: &[Kernel],
    chosen: Option<&Chosen>,
    change: impl FnOnce(&mut Command),
) -> Result<ExitCode> {
    let token = session::token();
    let mut command = cargo::nextest()?;
    command.arg("run").env("KTSTR_RUN_EPOCH", &token);
    match chosen {
        Some(chosen) => command.args(budget::narrowed(&nextest_words(test), &chosen.filter)),
        None => command.args(nextest_words(test)),
    };
    settings(&mut command, test, kernels)?;
    if test.gauntlet
        && let Some(why) = no_preset_fits(overcommit_of(test), cpus())
    {
        eprintln!("ktstr: WARNING: {why}");
    }
    let notes = tempfile::tempdir().context("no directory for what the listings say")?;
    command.env("KTSTR_LIST_NOTES_DIR", notes.path());
    change(&mut command);
    if chosen.is_some() {
        // A listing would choose again, and for each binary.
        command.env_remove("KTSTR_BUDGET_SECS");
    }
    let status = command.status().context("failed to start cargo nextest")?;
    chosen.iter().for_each(|chosen| eprintln!("ktstr: {}", chosen.said));
    said(notes.path()).iter().for_each(|line| eprintln!("ktstr: {line}"));
    // The code is nextest's, whatever becomes of the summary.
    let root = cargo::records_root(&test.passed_on);
    // Whoever gave the session its token asks afterwards whether it came to an end.
    if let Ok(root) = &root
        && std::env::var_os("KTSTR_RUN_EPOCH").is_some_and(|t| !t.is_empty())
        && let Err(e) = end::write(root, &token, status)
    {
        eprintln!("ktstr: WARNING: that this session has ended is not written down: {e:#}");
    }
    match root.and_then(|root| session::read_all(&root)) {
        Ok(records) => {
            let of_session = session::of_session(records.whole, &token);
            eprint!("{}", session::summary(&of_session, &records.damaged));
        }
        Err(e) => eprintln!("ktstr: WARNING: what ran is not known: {e:#}"),
    }
    Ok(cargo::code_of(status))
}

/// Of the flag, else of the environment. Tests of an archive lie nowhere until they are run, so each of its binaries chooses for
/// itself; and a value that means nothing is told by the listing.
fn budget(test: &Test) -> Result<Option<Secs>> {
    let text = || std::env::var("KTSTR_BUDGET_SECS").unwrap_or_default();
    let seconds = match test.budget {
        Some(seconds) => Some(Secs::new(seconds)?),
        None => ktstr_budget::parse_budget(&text()).unwrap_or_default(),
    };
    let archive = test.passed_on.iter().any(|word| word.starts_with("--archive-file"));
    if seconds.is_some() && archive {
        eprintln!("ktstr: of an archive each test binary spends the budget for itself");
    }
    Ok(seconds.filter(|_| !archive))
}

fn within(test: &Test, kernels: &[Kernel], seconds: Secs, change: &impl Fn(&mut Command)) -> Result<Chosen> {
    let offer = Offer::of(&nextest_words(test), |command| {
        settings(command, test, kernels)?;
        change(command);
        Ok(())
    })?;
    budget::choose(&offer, seconds)
}

fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

fn overcommit_of(test: &Test) -> f64 {
    let set = std::env::var("KTSTR_OVERCOMMIT").ok().and_then(|text| overcommit(&text).ok());
    test.overcommit.or(set).unwrap_or(1.0)
}

/// A gauntlet without presets looks like one that has passed.
fn no_preset_fits(overcommit: f64, cpus: u32) -> Option<String> {
    let smallest = ktstr_topology::presets().iter().min_by_key(|p| p.topology.total_cpus())?;
    let needed = smallest.topology.total_cpus();
    (ktstr_topology::cpu_budget(cpus, overcommit) < needed).then(|| {
        format!(
            "--gauntlet adds no test here: the smallest preset has {needed} CPUs, this host {cpus}; --overcommit {} runs it, slowly",
            needed.div_ceil(cpus.max(1))
        )
    })
}

/// What the listings had to say, each line once.
fn said(dir: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn nextest_words(test: &Test) -> Vec<String> {
    let mut words = Vec::new();
    let mut add = |new: &[&str]| words.extend(new.iter().map(|w| (*w).to_owned()));
    if test.gauntlet {
        add(&["--run-ignored", "all"]);
        // The cells of the sweep are ignored too, and `cargo ktstr verifier`'s.
        if !test.passed_on.iter().any(|w| w.starts_with("-E") || w.starts_with("--filter")) {
            add(&["-E", "not test(/^verifier\\//)"]);
        }
    }
    if test.release {
        add(&["--release"]);
    }
    if let Some(profile) = &test.profile {
        add(&["--cargo-profile", profile]);
    }
    words.extend(test.passed_on.iter().cloned());
    words
}

/// The variables that the flags stand for; flags that are not given leave the environment's alone.
fn settings(command: &mut Command, test: &Test, kernels: &[Kernel]) -> Result<()> {
    set_kernels(command, kernels)?;
    absolute_paths(command)?;
    if let Some(accel) = test.accel.and_then(|a| a.to_possible_value()) {
        command.env("KTSTR_ACCEL", accel.get_name());
    }
    if test.release {
        command.env("KTSTR_SCHEDULER_PROFILE", "release");
    }
    if let Some(profile) = &test.profile {
        command.env("KTSTR_SCHEDULER_PROFILE", profile);
    }
    for (on, name) in [(test.no_perf_mode, "KTSTR_NO_PERF_MODE"), (test.no_skip_mode, "KTSTR_NO_SKIP_MODE")] {
        if on {
            command.env(name, "1");
        }
    }
    let numbers = [
        ("KTSTR_CPU_CAP", test.cpu_cap.map(|n| n.to_string())),
        ("KTSTR_BUDGET_SECS", test.budget.map(|n| n.to_string())),
        ("KTSTR_OVERCOMMIT", test.overcommit.map(|n| n.to_string())),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    Ok(())
}

/// nextest runs each test in its package's directory, where a path from here would mean another place.
fn absolute_paths(command: &mut Command) -> Result<()> {
    for name in ["KTSTR_SIDECAR_DIR", "KTSTR_RUNS_ROOT", "KTSTR_CACHE_DIR", "KTSTR_VERIFIER_RESULT_DIR"] {
        if let Some(dir) = std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from)
            && dir.is_relative()
        {
            command.env(name, std::path::absolute(dir).context("there is no working directory")?);
        }
    }
    Ok(())
}

/// One kernel is `KTSTR_KERNEL`, several are `KTSTR_KERNEL_LIST`; what the environment had for either goes.
pub fn set_kernels(command: &mut Command, kernels: &[Kernel]) -> Result<()> {
    match kernels {
        [] => return Ok(()),
        [one] => {
            command.env("KTSTR_KERNEL", &one.path).env_remove("KTSTR_KERNEL_LIST");
        }
        several => {
            command.env("KTSTR_KERNEL_LIST", list(several)?).env_remove("KTSTR_KERNEL");
        }
    }
    if std::env::var_os("KTSTR_TEST_KERNEL").is_some() {
        bail!("KTSTR_TEST_KERNEL is set, and would be booted in place of --kernel; unset one of the two");
    }
    Ok(())
}

/// As `KTSTR_KERNEL_LIST` has it.
pub fn list(kernels: &[Kernel]) -> Result<String> {
    let pairs: Vec<_> = kernels.iter().map(|k| (k.label.clone(), k.path.clone())).collect();
    Ok(write_kernel_list(&pairs)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn environment(test: &Test, kernels: &[Kernel]) -> BTreeMap<String, Option<String>> {
        let mut command = Command::new("true");
        settings(&mut command, test, kernels).unwrap();
        let text = |t: &std::ffi::OsStr| t.to_string_lossy().into_owned();
        command.get_envs().map(|(k, v)| (text(k), v.map(text))).collect()
    }

    fn kernel(label: &str) -> Kernel {
        Kernel { label: label.into(), path: format!("/k/{label}").into() }
    }

    #[test]
    fn flags_that_are_not_given_leave_the_environment_alone() {
        assert_eq!(environment(&Test::default(), &[]), BTreeMap::new());
    }

    #[test]
    fn each_flag_is_its_variable() {
        let test = Test {
            accel: Some(Accel::Tcg),
            release: true,
            no_perf_mode: true,
            no_skip_mode: true,
            cpu_cap: Some(2),
            budget: Some(300.0),
            overcommit: Some(8.0),
            ..Test::default()
        };
        let set = environment(&test, &[kernel("6.18"), kernel("7.3")]);
        let wanted = [
            ("KTSTR_ACCEL", Some("tcg")),
            ("KTSTR_BUDGET_SECS", Some("300")),
            ("KTSTR_CPU_CAP", Some("2")),
            ("KTSTR_KERNEL", None),
            ("KTSTR_KERNEL_LIST", Some("6.18=/k/6.18;7.3=/k/7.3")),
            ("KTSTR_NO_PERF_MODE", Some("1")),
            ("KTSTR_NO_SKIP_MODE", Some("1")),
            ("KTSTR_OVERCOMMIT", Some("8")),
            ("KTSTR_SCHEDULER_PROFILE", Some("release")),
        ];
        assert_eq!(set, wanted.map(|(k, v)| (k.to_owned(), v.map(str::to_owned))).into());
        assert_eq!(environment(&Test::default(), &[kernel("6.18")])["KTSTR_KERNEL"].as_deref(), Some("/k/6.18"));
    }

    #[test]
    fn the_words_for_nextest_end_in_those_passed_on() {
        let test = Test {
            gauntlet: true,
            profile: Some("ci".into()),
            passed_on: vec!["-E".into(), "all()".into()],
            ..Test::default()
        };
        assert_eq!(nextest_words(&test), ["--run-ignored", "all", "--cargo-profile", "ci", "-E", "all()"]);
    }

    #[test]
    fn a_gauntlet_that_no_preset_can_join_is_told_with_the_flag_that_helps() {
        let why = no_preset_fits(1.0, 2).unwrap();
        assert!(why.contains("has 4 CPUs, this host 2; --overcommit 2"), "{why}");
        assert_eq!((no_preset_fits(2.0, 2), no_preset_fits(1.0, 4)), (None, None));
    }

    #[test]
    fn what_two_listings_say_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["1.txt", "2.txt"] {
            std::fs::write(dir.path().join(file), "budget: 3/9 tests\n").unwrap();
        }
        assert_eq!(said(dir.path()).into_iter().collect::<Vec<_>>(), ["budget: 3/9 tests"]);
    }

    #[test]
    fn a_budget_is_a_positive_number() {
        assert!(seconds("1.5").is_ok() && ["0", "-1", "NaN", "inf", "x"].iter().all(|t| seconds(t).is_err()));
    }
}

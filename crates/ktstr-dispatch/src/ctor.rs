//! The constructor: what happens before `main` in every binary that links the harness.
//!
//! Only one thread exists here, so environment writes are sound; long work is not welcome, for it delays every listing.

use crate::answers::{self, NOT_MINE};
use crate::catalogue::Catalogue;
use crate::entry::KtstrTestEntry;
use crate::env::Invocation;
use crate::list::{libtest_name, write_cells, write_names, write_plain, write_selected};
use crate::measured::Measured;
use crate::notes::Notes;
use crate::registry::{KTSTR_SCHEDULERS, KTSTR_TESTS, find, real_entries};
use crate::run::{host_offer, run_name, run_on_topology};
use crate::{export, names, verifier};
use ktstr_scenario::TestBody;
use ktstr_topology::shape;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn ktstr_before_main() {
        enter();
    }
}

fn enter() {
    if std::process::id() == 1 && std::path::Path::new(ktstr_wire::GUEST_MARKER).exists() {
        ktstr_guest_init::run(&guest_body);
    }
    if KTSTR_TESTS.is_empty() && KTSTR_SCHEDULERS.is_empty() && std::env::var_os("NEXTEST").is_none() {
        return;
    }
    let invocation = Invocation::from_process();
    if let Some(code) = route(&invocation) {
        let _ = std::io::stdout().flush();
        ktstr_scenario::profile::flush();
        std::process::exit(code);
    }
}

fn guest_body(name: &str) -> Option<TestBody> {
    if name == verifier::FUNCTION {
        return Some(TestBody { func: verifier::exercise, payload: None, workloads: &[] });
    }
    find(&KTSTR_TESTS, name).map(crate::entry::KtstrTestEntry::body)
}

/// The exit code of whatever this invocation asks of the harness; `None` leaves it to libtest.
fn route(invocation: &Invocation) -> Option<i32> {
    let Invocation { args, settings } = invocation;
    if let Some(name) = &args.export_test {
        return Some(export::export(name, args.export_output.as_deref(), settings));
    }
    if let (Some(name), Some(dir)) = (&args.bare_test, &args.bare_dir) {
        return Some(export::run_bare(name, Path::new(dir)));
    }
    if let Some(name) = &args.shell_test {
        return Some(answers::shell(name, settings));
    }
    if let Some(name) = &args.thresholds_test {
        return Some(answers::thresholds(name));
    }
    if args.list_schedulers {
        return Some(answers::list_schedulers());
    }
    if let Some(name) = &args.test_fn {
        return Some(run_test_fn(name, invocation));
    }
    if args.list_costs {
        return Some(answers::list_costs(settings));
    }
    let (entries, repeated) = real_entries(&KTSTR_TESTS);
    if entries.is_empty() && KTSTR_SCHEDULERS.is_empty() {
        return None;
    }
    if !settings.under_nextest {
        warn_of_lost_variants(&entries, settings.cargo_test_mode, invocation);
        return None;
    }
    if args.list {
        let mut notes = Notes::new(settings.list_notes_dir.clone());
        for name in repeated {
            notes.say(&format!("WARNING: `{name}` is registered more than once; the first registration is used"));
        }
        return Some(list(entries, invocation, &mut notes));
    }
    let name = args.exact.as_deref().filter(|name| names::is_ours(name))?;
    Some(run_name(name, &KTSTR_TESTS, settings))
}

fn run_test_fn(name: &str, invocation: &Invocation) -> i32 {
    let Some(entry) = find(&KTSTR_TESTS, name) else {
        eprintln!("ktstr: FAIL: this binary has no test `{name}`");
        return NOT_MINE;
    };
    let Some(topo) = &invocation.args.topo else {
        eprintln!("ktstr: FAIL: --ktstr-test-fn needs --ktstr-topo=NnNlNcNt outside a guest");
        return NOT_MINE;
    };
    match shape(topo) {
        Ok(topology) => run_on_topology(entry, topology, &invocation.settings).exit_code(),
        Err(e) => {
            eprintln!("ktstr: FAIL: --ktstr-topo={topo}: {e}");
            NOT_MINE
        }
    }
}

fn warn_of_lost_variants(entries: &[&KtstrTestEntry], quiet: bool, invocation: &Invocation) {
    let listing_for_nextest = invocation.args.list;
    if quiet || listing_for_nextest {
        return;
    }
    let machines = entries.iter().filter(|e| !e.host_only).count();
    if machines > 0 {
        eprintln!(
            "ktstr: WARNING: under `cargo test` {machines} tests run on their declared topology only; \
             `cargo nextest run` has their gauntlet variants (KTSTR_CARGO_TEST_MODE=1 silences this)"
        );
    }
    if let Some(line) = verifier::lost_cells_warning(&invocation.settings) {
        eprintln!("{line}");
    }
}

fn list(entries: Vec<&'static KtstrTestEntry>, invocation: &Invocation, notes: &mut Notes) -> i32 {
    let Invocation { args, settings } = invocation;
    let registered: HashSet<&str> = entries.iter().map(|e| libtest_name(e.libtest_path)).collect();
    let plain = plain_tests(args.ignored);
    let overcommit = settings.overcommit.clone().unwrap_or_else(|e| {
        notes.say(&format!("WARNING: {e}; presets are filtered as for 1"));
        1.0
    });
    let host = host_offer(overcommit);
    let catalogue = Catalogue::new(entries, &settings.kernel_labels(), host)
        .base_only(settings.cargo_test_mode)
        .without_perf_mode(settings.no_perf_mode);
    let mut out = std::io::stdout().lock();
    let budget = match settings.budget.as_deref().map(ktstr_budget::parse_budget) {
        None => None,
        Some(Ok(budget)) => budget,
        Some(Err(e)) => {
            notes.say(&format!("WARNING: KTSTR_BUDGET_SECS: {e}; no budget is applied"));
            None
        }
    };
    let written = match budget {
        None => write_names(&catalogue, args.ignored, &mut out),
        Some(budget) => {
            let measured = Measured::of_this_machine();
            write_selected(&catalogue, args.ignored, budget, &measured, &mut out).map(|line| notes.say(&line))
        }
    };
    let written = written.and_then(|()| {
        if budget.is_some() || settings.cargo_test_mode {
            return Ok(());
        }
        let (cells, warnings) = verifier::cells(&KTSTR_SCHEDULERS, settings, host);
        warnings.iter().for_each(|w| notes.say(&format!("WARNING: {w}")));
        write_cells(&cells, &mut out)
    });
    let plain = plain.and_then(|mut child| {
        let listing = child.wait_output()?;
        write_plain(&listing, &registered, &mut out)
    });
    match written.and(plain).and_then(|()| out.flush()) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("ktstr: FAIL: the list of tests could not be written: {e}");
            1
        }
    }
}

/// This binary again as plain libtest, already running while our own names are written.
struct PlainListing(std::process::Child);

impl PlainListing {
    fn wait_output(&mut self) -> std::io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mut listing = Vec::new();
        if let Some(stdout) = self.0.stdout.as_mut() {
            stdout.read_to_end(&mut listing)?;
        }
        let status = self.0.wait()?;
        if status.success() {
            Ok(listing)
        } else {
            Err(std::io::Error::other(format!("listing the plain tests of this binary ended with {status}")))
        }
    }
}

fn plain_tests(ignored: bool) -> std::io::Result<PlainListing> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--list", "--format", "terse"]).env_remove("NEXTEST").stdin(Stdio::null()).stdout(Stdio::piped());
    if ignored {
        command.arg("--ignored");
    }
    command.spawn().map(PlainListing)
}

//! `--exact NAME`: from a name to one verdict, one record, one exit code.

use crate::catalogue::{Catalogue, HostOffer};
use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use crate::machine::{Attempt, declared_topology, run_in_machine};
use crate::names::TestName;
use crate::post_vm::{self, VmResult};
use crate::record::{Outline, Written, write};
use crate::{host_only, registry, repro, verifier};
use ktstr_scenario::panic_text;
use ktstr_sidecar::{Files, SidecarRecord, failure_text};
use ktstr_topology::{Topology, preset};
use ktstr_verdict::{
    AssertResult, Decision, EXIT_FAIL, HarnessFault, Outcome, Policy, TopologyInsufficient, Verdict, final_outcome,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

/// Runs a name that nextest gave; the answer is the exit code.
#[must_use]
pub fn run_name(name: &str, all: &'static [KtstrTestEntry], settings: &Settings) -> i32 {
    if let Some(TestName::Verifier(cell)) = TestName::parse(name) {
        return verifier::run_cell(cell, &registry::KTSTR_SCHEDULERS, settings);
    }
    match resolve_name(name, all, settings) {
        Ok(request) => conclude(&request, settings).exit_code(),
        Err(message) => {
            eprintln!("ktstr: FAIL: {message}");
            EXIT_FAIL
        }
    }
}

/// What a name stands for.
#[derive(Debug)]
struct Request {
    entry: &'static KtstrTestEntry,
    topology: Topology,
    preset: Option<&'static str>,
}

fn resolve_name(name: &str, all: &'static [KtstrTestEntry], settings: &Settings) -> Result<Request, String> {
    // A host_only name never carries a kernel suffix, so it is looked up before any is peeled.
    if let Some(TestName::Base(test)) = TestName::parse(name)
        && let Some(entry) = registry::find(all, test).filter(|e| e.host_only)
    {
        let topology = declared_topology(entry).map_err(|e| format!("{e:#}"))?;
        return Ok(Request { entry, topology, preset: None });
    }
    let labels = settings.kernel_labels();
    let (bare, label) = ktstr_kernel::strip_kernel_suffix(name, &labels).map_err(|e| e.to_string())?;
    if let Some(kernel) = label.and_then(|l| settings.kernels.iter().find(|k| k.label == l)) {
        export_kernel(&kernel.path);
    } else if let [only] = settings.kernels.as_slice() {
        export_kernel(&only.path);
    }
    let parsed = TestName::parse(&bare).ok_or_else(|| format!("`{bare}` is not a name of this harness"))?;
    let test = parsed.test();
    if test.is_empty() {
        return Err(format!("`{name}` names no test; `cargo nextest list` shows the names there are"));
    }
    let entry = registry::find(all, test)
        .ok_or_else(|| format!("this binary has no test `{test}`; `cargo nextest list` shows the names there are"))?;
    let TestName::Gauntlet { preset: wanted, .. } = parsed else {
        let topology = declared_topology(entry).map_err(|e| format!("{e:#}"))?;
        return Ok(Request { entry, topology, preset: None });
    };
    let found = preset(wanted).ok_or_else(|| format!("`{wanted}` is not a preset; the test `{test}` is there"))?;
    Ok(Request { entry, topology: found.topology.clone(), preset: Some(found.name) })
}

/// The kernel a suffix stands for, to be found like any other: the constructor runs on the only thread there is.
pub(crate) fn export_kernel(path: &std::path::Path) {
    // SAFETY: called before `main`, from the constructor, while the process has one thread (see `ctor.rs`).
    unsafe { std::env::set_var("KTSTR_KERNEL", path) };
}

/// Runs one entry on its declared topology: the library's entry point.
pub fn run_ktstr_test(entry: &'static KtstrTestEntry) -> Decision {
    let settings = Settings::from_process();
    match declared_topology(entry) {
        Ok(topology) => conclude(&Request { entry, topology, preset: None }, &settings),
        Err(e) => final_outcome(&Err(e), Policy::default()),
    }
}

/// Runs one entry on a given topology (`--ktstr-test-fn` with `--ktstr-topo`).
pub fn run_on_topology(entry: &'static KtstrTestEntry, topology: Topology, settings: &Settings) -> Decision {
    conclude(&Request { entry, topology, preset: None }, settings)
}

/// The body of a libtest wrapper.
///
/// # Panics
/// When the decision is not a pass or a skip: that is how libtest is told.
pub fn run_as_libtest(entry: &'static KtstrTestEntry) {
    let decision = run_ktstr_test(entry);
    assert!(decision.exit_code() == 0, "{}: {}", decision.verdict(), decision.message());
}

/// Attempt, decision, record, in this order: the exit code and the record's bits are the same decision.
fn conclude(request: &Request, settings: &Settings) -> Decision {
    let started = SystemTime::now();
    let mut attempt = Attempt::default();
    let result =
        catch_unwind(AssertUnwindSafe(|| attempt_once(request, settings, &mut attempt))).unwrap_or_else(|payload| {
            Err(anyhow::Error::new(HarnessFault::new(format!(
                "the harness panicked on the host: {}",
                panic_text(&*payload)
            ))))
        });
    let policy = Policy {
        expect_err: request.entry.expect_err,
        allow_inconclusive: request.entry.allow_inconclusive,
        no_skip: settings.no_skip,
    };
    let vm = VmResult::of(request.entry, &request.topology, &attempt, &result);
    let result = post_vm::check(request.entry, policy, vm, result);
    let verdict = final_outcome(&result, policy).verdict();
    let again = repro::again(request.entry, &request.topology, settings, &attempt, verdict);
    let result = repro::settle(request.entry, result, again.as_ref().map(|again| &again.repro));
    let decision = final_outcome(&result, policy);
    report(request, &attempt, &result, settings);
    let outline = Outline {
        entry: request.entry,
        topology: &request.topology,
        preset: request.preset,
        attempt: &attempt,
        again: again.as_ref(),
        result: &result,
        decision: &decision,
        started,
        several_kernels: settings.kernels.len() > 1,
    };
    let (record, written) = write(&outline);
    conclusion(&record, &written, &decision);
    decision
}

fn attempt_once(request: &Request, settings: &Settings, attempt: &mut Attempt) -> anyhow::Result<AssertResult> {
    let entry = request.entry;
    entry.validate().map_err(|e| anyhow::Error::new(HarnessFault::new(e.message())))?;
    if entry.performance_mode && settings.no_perf_mode {
        return Ok(AssertResult::skip("KTSTR_NO_PERF_MODE is set and this test needs performance mode"));
    }
    if settings.perf_only && !entry.performance_mode {
        return Ok(AssertResult::skip("KTSTR_PERF_ONLY is set and this is not a performance test"));
    }
    if entry.host_only {
        return host_only::run(entry, settings);
    }
    if let Some(name) = request.preset {
        fits(entry, name, settings)?;
    }
    run_in_machine(entry, &request.topology, settings, attempt)
}

/// A preset asked for by name must be one that the listing would offer.
fn fits(entry: &'static KtstrTestEntry, name: &str, settings: &Settings) -> anyhow::Result<()> {
    let overcommit = settings.overcommit.clone().map_err(|e| anyhow::Error::new(HarnessFault::new(e)))?;
    let host = host_offer(overcommit);
    let Some(found) = preset(name) else {
        return Ok(());
    };
    let catalogue = Catalogue::new(vec![entry], &[], host).without_perf_mode(settings.no_perf_mode);
    if catalogue.accepts(entry, found) {
        return Ok(());
    }
    if entry.constraints().accepts_no_perf_mode(&found.topology, u32::MAX) {
        return Err(anyhow::Error::new(TopologyInsufficient::new(
            format!("{name}: {} CPUs in {} LLCs", found.topology.total_cpus(), found.topology.llcs),
            format!(
                "{} CPUs in {} LLCs, {} CPUs with KTSTR_OVERCOMMIT={overcommit}; raise KTSTR_OVERCOMMIT to run it slowly",
                host.cpus, host.llcs, host.cpu_budget
            ),
        )));
    }
    Err(anyhow::Error::new(HarnessFault::new(format!(
        "preset `{name}` is outside the bounds that the test `{}` declares",
        entry.name
    ))))
}

/// What this host offers, with its CPUs multiplied by `overcommit`.
#[must_use]
pub fn host_offer(overcommit: f64) -> HostOffer {
    let host = ktstr_vmm::host::HostTopology::detect();
    HostOffer {
        cpu_budget: ktstr_topology::cpu_budget(host.cpus, overcommit),
        cpus: host.cpus,
        llcs: host.llcs,
        max_cpus_per_llc: host.max_cpus_per_llc,
    }
}

/// What a person reads on stderr before the verdict: the machine in one line, and what passed, where it is asked for.
fn report(request: &Request, attempt: &Attempt, result: &anyhow::Result<AssertResult>, settings: &Settings) {
    if let Some(accel) = &attempt.accel {
        eprintln!(
            "ktstr: {} on {} ({}), scheduler {}, accelerator {} ({})",
            request.entry.name,
            request.topology,
            attempt.kernel.as_ref().map_or("no kernel", |k| k.label.as_str()),
            request.entry.scheduler.name,
            accel.accel,
            accel.why
        );
    }
    if let Ok(result) = result
        && settings.log_passes
    {
        let passes = result.outcomes.iter().filter(|o| matches!(o, Outcome::Pass)).count();
        eprintln!("ktstr: {passes} checks passed");
        for text in &result.passes {
            eprintln!("ktstr: passed: {text}");
        }
    }
}

/// The verdict with its reasons and evidence, and the files.
fn conclusion(record: &SidecarRecord, written: &Written, decision: &Decision) {
    let files = Files {
        record: written.record.as_deref(),
        trace: written.trace.as_deref(),
        repro_trace: written.repro_trace.as_deref(),
    };
    let verdict = decision.verdict();
    if matches!(verdict, Verdict::Fail | Verdict::Inconclusive) {
        eprint!("{}", failure_text(record, files));
        return;
    }
    if verdict == Verdict::Pass && decision.message().is_empty() {
        eprintln!("ktstr: PASS");
    } else {
        eprintln!("ktstr: {verdict}: {}", decision.message());
    }
    for (what, path) in
        [("record", files.record), ("trace", files.trace), ("trace of the second machine", files.repro_trace)]
    {
        if let Some(path) = path {
            eprintln!("ktstr: {what}: {}", path.display());
        }
    }
}

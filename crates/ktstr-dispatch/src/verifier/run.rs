//! One cell, from its name to its record and exit code.

use super::collapse::collapse;
use super::gate::{Gate, first_closed};
use super::workload::{FUNCTION, INSNS};
use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use crate::machine::{Attempt, run_in_machine};
use crate::run::export_kernel;
use ktstr_kernel::KernelEntry;
use ktstr_scenario::Scheduler;
use ktstr_scenario::panic_text;
use ktstr_sidecar::{VERIFIER_LIMIT, VERIFIER_WARNING, VerifierRecord};
use ktstr_topology::{Preset, preset};
use ktstr_verdict::{AssertResult, Decision, EXIT_FAIL, HarnessFault, Policy, Verdict, final_outcome};
use ktstr_wire::Message;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds the workload runs.
const DURATION_S: u64 = 2;
/// Lines of the scheduler's log that a collapsed record keeps; raw ones keep all.
const LOG_LINES: usize = 400;
/// Lines of it that are printed when a cell fails.
const SHOWN_LINES: usize = 60;

/// What a name stands for.
struct Found<'a> {
    scheduler: &'static Scheduler,
    kernel: &'a KernelEntry,
    preset: &'static Preset,
}

/// Runs `{scheduler}/{kernel}/{preset}`; the answer is the exit code.
#[must_use]
pub fn run_cell(cell: &str, declared: &[&'static Scheduler], settings: &Settings) -> i32 {
    eprintln!("ktstr: verifier cell {cell}");
    match find(cell, declared, settings) {
        Ok(found) => run(&found, settings).exit_code(),
        Err(why) => {
            eprintln!("ktstr: FAIL: {why}");
            EXIT_FAIL
        }
    }
}

fn find<'a>(cell: &str, declared: &[&'static Scheduler], settings: &'a Settings) -> Result<Found<'a>, String> {
    let [wanted_preset, wanted_kernel, wanted_scheduler] = cell.rsplitn(3, '/').collect::<Vec<_>>()[..] else {
        return Err(format!("`{cell}` is no cell: its name is SCHEDULER/KERNEL/PRESET"));
    };
    let scheduler = declared.iter().find(|s| s.name == wanted_scheduler).ok_or_else(|| {
        format!("this binary declares no scheduler `{wanted_scheduler}`; `cargo nextest list --run-ignored all` shows the cells there are")
    })?;
    if !scheduler.has_verifier_cells() {
        return Err(format!("scheduler `{wanted_scheduler}` is not a program: there is nothing to verify"));
    }
    let kernel = settings.kernels.iter().find(|k| k.sanitized.as_str() == wanted_kernel).ok_or_else(|| {
        format!("`{wanted_kernel}` is none of the {} kernels of KTSTR_KERNEL_LIST", settings.kernels.len())
    })?;
    let preset = preset(wanted_preset).ok_or_else(|| format!("`{wanted_preset}` is not a preset"))?;
    Ok(Found { scheduler, kernel, preset })
}

fn run(found: &Found<'_>, settings: &Settings) -> Decision {
    let started = SystemTime::now();
    export_kernel(&found.kernel.path);
    let entry: &'static KtstrTestEntry = Box::leak(Box::new(KtstrTestEntry {
        name: FUNCTION,
        scheduler: found.scheduler,
        duration_s: DURATION_S,
        ..KtstrTestEntry::DEFAULT
    }));
    let mut attempt = Attempt::default();
    let result =
        catch_unwind(AssertUnwindSafe(|| run_in_machine(entry, &found.preset.topology, settings, &mut attempt)))
            .unwrap_or_else(|payload| {
                let text = format!("the harness panicked on the host: {}", panic_text(&*payload));
                Err(anyhow::Error::new(HarnessFault::new(text)))
            });
    let decision = final_outcome(&result, Policy { no_skip: settings.no_skip, ..Policy::default() });
    let record = record(found, &attempt, &result, &decision, started, settings.verifier_raw);
    report(&record, &decision);
    if let Some(dir) = &settings.verifier_result_dir
        && let Err(e) = record.write(dir)
    {
        eprintln!("ktstr: WARNING: the cell's record is missing, the verdict stands: {e}");
    }
    decision
}

fn record(
    found: &Found<'_>,
    attempt: &Attempt,
    result: &anyhow::Result<AssertResult>,
    decision: &Decision,
    started: SystemTime,
    raw: bool,
) -> VerifierRecord {
    let messages: Option<Vec<&Message>> =
        attempt.run.as_ref().map(|run| run.transcript.messages().iter().map(|(_, m)| m).collect());
    let gate = (decision.verdict() != Verdict::Pass).then(|| first_closed(messages.as_deref()));
    let log = messages.iter().flatten().filter_map(|m| match m {
        Message::SchedulerLog(line) => Some(line.clone()),
        _ => None,
    });
    let mut log: Vec<String> = log.collect();
    if !raw {
        log = collapse(&log);
        log.drain(..log.len().saturating_sub(LOG_LINES));
    }
    let ops = messages.iter().flatten().find_map(|m| match m {
        Message::Scheduler(seen) => seen.ops.clone(),
        _ => None,
    });
    VerifierRecord {
        scheduler: found.scheduler.name.to_owned(),
        kernel: found.kernel.label.clone(),
        preset: found.preset.name.to_owned(),
        topology: found.preset.topology.to_string(),
        verdict: word(decision.verdict()).to_owned(),
        gate: gate.as_ref().map(Gate::to_string),
        message: decision.message().to_owned(),
        ops,
        verified_insns: result.as_ref().map(counts).unwrap_or_default(),
        log,
        accelerator: attempt.accel.as_ref().map(|a| a.accel.to_string()),
        binary: std::env::var("NEXTEST_BINARY_ID").unwrap_or_default(),
        started_unix_s: started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        wall_ms: started.elapsed().map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Skip => "skip",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Fail => "fail",
    }
}

fn counts(result: &AssertResult) -> BTreeMap<String, u64> {
    let of = |(name, value): (&String, &f64)| {
        // Counts are below 2^53, and were made of a u32.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let count = *value as u64;
        Some((name.strip_prefix(INSNS)?.to_owned(), count))
    };
    result.metrics.iter().filter_map(of).collect()
}

fn report(record: &VerifierRecord, decision: &Decision) {
    for (program, count) in &record.verified_insns {
        eprintln!("ktstr: {program}: {count} instructions verified");
        if *count >= VERIFIER_WARNING {
            eprintln!("ktstr: WARNING: {program} is at {} % of the verifier's limit", count * 100 / VERIFIER_LIMIT);
        }
    }
    let Some(gate) = &record.gate else {
        eprintln!("ktstr: PASS: loaded, enabled and dispatching as {}", record.ops.as_deref().unwrap_or("-"));
        return;
    };
    let from = record.log.len().saturating_sub(SHOWN_LINES);
    for line in &record.log[from..] {
        eprintln!("  {line}");
    }
    eprintln!("ktstr: {}: gate `{gate}`: {}", decision.verdict(), decision.message());
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_scenario::SchedulerSpec;

    static LOADED: Scheduler = Scheduler { name: "a", spec: SchedulerSpec::Discover("scx_a"), ..Scheduler::DEFAULT };

    #[test]
    fn each_part_of_a_cell_that_is_wrong_has_its_own_error() {
        let settings = Settings::read(&|name| (name == "KTSTR_KERNEL_LIST").then(|| "6.18=/k".into()));
        let declared = [&LOADED, &Scheduler::EEVDF];
        let error = |cell: &str| find(cell, &declared, &settings).err().unwrap_or_default();
        let name = ktstr_topology::presets()[0].name;
        assert_eq!(error(&format!("a/kernel_6_18/{name}")), "");
        assert!(error(&format!("b/kernel_6_18/{name}")).contains("no scheduler `b`"));
        assert!(error(&format!("eevdf/kernel_6_18/{name}")).contains("nothing to verify"));
        assert!(error(&format!("a/kernel_7_3/{name}")).contains("none of the 1 kernels"));
        assert!(error("a/kernel_6_18/x").contains("not a preset"));
        assert!(error("a").contains("SCHEDULER/KERNEL/PRESET"));
    }
}

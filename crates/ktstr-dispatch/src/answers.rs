//! What the binary answers when `cargo ktstr` asks it: on stdout for machines, the reason of a refusal on stderr.

use crate::catalogue::Catalogue;
use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use crate::measured::Measured;
use crate::registry::{KTSTR_SCHEDULERS, KTSTR_TESTS, find, real_entries};
use crate::run::host_offer;
use ktstr_scenario::{Assert, Scheduler, SchedulerSpec};
use serde_json::{Value, json};

/// Exit code: done.
pub const DONE: i32 = 0;
/// Exit code of a router flag when this binary does not have the test: the next one is asked.
pub const NOT_MINE: i32 = 1;
/// Exit code of a router flag when this binary has the test and refuses.
pub const REFUSED: i32 = 2;

/// `--ktstr-list-schedulers`: a line of JSON for each declaration.
#[must_use]
pub fn list_schedulers() -> i32 {
    for scheduler in KTSTR_SCHEDULERS {
        println!("{}", json!({"name": scheduler.name, "kind": kind(scheduler), "binary": binary(scheduler)}));
    }
    DONE
}

/// `--ktstr-list-costs`: name, estimated seconds and features of everything that could be listed, a line of JSON each.
#[must_use]
pub fn list_costs(settings: &Settings) -> i32 {
    let (entries, _) = real_entries(&KTSTR_TESTS);
    let host = host_offer(settings.overcommit.clone().unwrap_or(1.0));
    let measured = Measured::of_this_machine();
    Catalogue::new(entries, &settings.kernel_labels(), host).visit(|item| {
        let candidate = item.candidate(&measured);
        println!("{}", json!({"name": candidate.name, "seconds": candidate.secs.get(), "features": candidate.mask}));
    });
    DONE
}

/// `--ktstr-thresholds-test`: the checks of a test, all layers merged.
#[must_use]
pub fn thresholds(name: &str) -> i32 {
    let Some(entry) = find(&KTSTR_TESTS, name) else { return NOT_MINE };
    let merged = Assert::library_defaults().merge(entry.scheduler.assert).merge(entry.assert);
    answer(serde_json::to_value(merged))
}

/// `--ktstr-shell-test`: the machine of a test.
#[must_use]
pub fn shell(name: &str, settings: &Settings) -> i32 {
    let Some(entry) = find(&KTSTR_TESTS, name) else { return NOT_MINE };
    if entry.host_only {
        eprintln!("ktstr: `{name}` is host_only: it runs here and has no machine to open a shell in");
        return REFUSED;
    }
    answer(Ok(machine_of(entry, settings)))
}

fn answer(value: serde_json::Result<Value>) -> i32 {
    match value {
        Ok(value) => {
            println!("{value}");
            DONE
        }
        Err(e) => {
            eprintln!("ktstr: the answer cannot be written as JSON: {e}");
            REFUSED
        }
    }
}

fn machine_of(entry: &KtstrTestEntry, settings: &Settings) -> Value {
    let (numa_nodes, llcs, cores, threads) = entry.dimensions();
    let scheduler = entry.scheduler;
    let (enable, disable) = match scheduler.spec {
        SchedulerSpec::KernelBuiltin { enable, disable } => (enable, disable),
        _ => (&[][..], &[][..]),
    };
    let found = crate::resolve::resolve(scheduler, true, settings).ok().flatten();
    let args: Vec<&str> = scheduler.sched_args.iter().chain(entry.extra_sched_args).copied().collect();
    json!({
        "numa_nodes": numa_nodes,
        "llcs": llcs,
        "cores": cores,
        "threads": threads,
        "memory_mib": entry.memory_mib.unwrap_or(0),
        "wprof": entry.wprof,
        "wprof_args": "",
        "extra_include_files": entry.extra_include_files,
        "scheduler_name": scheduler.name,
        "scheduler_kind": kind(scheduler),
        "scheduler_path": found.map(|f| f.path),
        "scheduler_args": args,
        "performance_mode": entry.performance_mode,
        "scheduler_enable_cmds": enable,
        "scheduler_disable_cmds": disable,
    })
}

fn kind(scheduler: &Scheduler) -> &'static str {
    match scheduler.spec {
        SchedulerSpec::Eevdf => "eevdf",
        SchedulerSpec::Discover(_) => "discover",
        SchedulerSpec::Path(_) => "path",
        SchedulerSpec::KernelBuiltin { .. } => "kernel_builtin",
    }
}

/// The program, or the package that builds it; "" for what is not a program.
fn binary(scheduler: &Scheduler) -> &'static str {
    match scheduler.spec {
        SchedulerSpec::Discover(name) | SchedulerSpec::Path(name) => name,
        SchedulerSpec::Eevdf | SchedulerSpec::KernelBuiltin { .. } => "",
    }
}

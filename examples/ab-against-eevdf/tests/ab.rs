//! The same load under two schedulers. Run it with
//!
//! ```text
//! cargo nextest run -p ab-against-eevdf                       # the comparison
//! cargo nextest run -p ab-against-eevdf --run-ignored all     # the control by itself as well
//! ```

use ktstr::prelude::*;
use std::sync::Mutex;

declare_scheduler!(BPFLAND, { name = "bpfland", binary = "scx_bpfland" });

/// What is compared: twice as many equal workers as CPUs, and sleepers among them.
fn load(ctx: &Ctx) -> Result<AssertResult> {
    let cpus = ctx.topology().total_cpus();
    execute_defs(
        ctx,
        vec![
            CgroupDef::named("equals").workers(2 * cpus).work_type(WorkType::SpinWait),
            CgroupDef::named("sleepers").workers(cpus).work_type(WorkType::bursty_ms(2, 20)),
        ],
    )
}

// A: the control. A name that begins with `demo_` is run only when it is asked for: the comparison runs it by itself.
#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 3, not_stuck, post_vm = keep)]
fn demo_under_eevdf(ctx: &Ctx) -> Result<AssertResult> {
    load(ctx)
}

static CONTROL: Mutex<Option<VmResult>> = Mutex::new(None);

fn keep(vm: &VmResult) -> Result<AssertResult> {
    *CONTROL.lock().map_err(|_| anyhow!("a panic while the control was kept"))? = Some(vm.clone());
    Ok(AssertResult::pass())
}

// B: the candidate, on the same machine. When it has passed, `compare` runs A and holds both against each other.
#[ktstr_test(
    scheduler = BPFLAND,
    llcs = 1,
    cores = 2,
    threads = 1,
    duration_s = 3,
    not_stuck,
    post_vm = compare
)]
fn bpfland_against_eevdf(ctx: &Ctx) -> Result<AssertResult> {
    load(ctx)
}

fn compare(candidate: &VmResult) -> Result<AssertResult> {
    let control = KTSTR_TESTS.iter().find(|t| t.name == "demo_under_eevdf").context("the control is not registered")?;
    let decision = run_ktstr_test(control);
    ensure!(decision.verdict() == Verdict::Pass, "the control did not pass: {}", decision.message());
    let control = CONTROL.lock().map_err(|_| anyhow!("a panic while the control was kept"))?.take();
    let control = control.context("the control left no figures")?;

    // Shares and ratios compare well: the host's load makes both runs slower or faster, and hardly changes them.
    let share = |vm: &VmResult| -> Result<f64> {
        let iterations = |name: &str| vm.cgroup(name).map(|c| c.iterations as f64).context("a cgroup is missing");
        let (equals, sleepers) = (iterations("equals")?, iterations("sleepers")?);
        ensure!(equals > 0.0 && sleepers > 0.0, "a cgroup did nothing under {}", vm.scheduler);
        Ok(sleepers / (equals + sleepers))
    };
    let (a, b) = (share(&control)?, share(candidate)?);
    let mut result = if b >= a / 3.0 {
        AssertResult::pass()
    } else {
        AssertResult::fail(format!(
            "the sleepers' share is {b:.4} under bpfland and {a:.4} under EEVDF: less than a third"
        ))
    };
    // Figures of both go into the record, and from there into every comparison of runs.
    result.metrics.insert("sleepers_share".to_owned(), b);
    result.metrics.insert("sleepers_share_eevdf".to_owned(), a);
    Ok(result)
}

// Anything else to compare is a line more: `candidate.metric("…")`, `candidate.cgroup("…")` (gaps, spread, migrations,
// wake-up latency), `candidate.phases_us`.

//! Real programs as the load of a test. Run them with
//!
//! ```text
//! apt-get install stress-ng rt-tests
//! cargo nextest run -p payload
//! ```

use ktstr::prelude::*;

declare_scheduler!(BPFLAND, { name = "bpfland", binary = "scx_bpfland" });

// A program is a struct whose fields are the figures in its output. hackbench writes text: the figure is the number after
// these words. A program that writes JSON has `path = "/jobs/0/read/iops"` instead.
//
// A bound that is broken fails the test with value and limit. `{cpus}` and `{duration_s}` in arguments are the machine's
// and the test's. `package` is for the message on a host that lacks the program.
#[derive(Payload)]
#[payload(
    binary = "hackbench",
    package = "rt-tests",
    args = ["--groups", "{cpus}", "--fds", "4", "--loops", "100"],
    output = text,
    timeout_s = 60
)]
struct Hackbench {
    #[metric(after = "Time:", at_most = 40.0)]
    time_s: f64,
}

// A program without figures is judged by its exit status. This one never ends: it is for company, in a cgroup of its own.
#[derive(Payload)]
#[payload(binary = "stress-ng", package = "stress-ng", args = ["--cpu", "{cpus}", "--quiet"], cgroup = "noise")]
struct Noise;

// `payload` is the test's main workload: the test lasts until it has ended. `workloads` run beside it and are ended with it.
// The body runs meanwhile; it may have cgroups of its own, or nothing to do.
#[ktstr_test(
    scheduler = BPFLAND,
    payload = Hackbench::PAYLOAD,
    workloads = [Noise::PAYLOAD],
    llcs = 1,
    cores = 2,
    threads = 1,
    duration_s = 2
)]
fn messages_under_noise(_ctx: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

// The other way round: the body runs a program itself and gets its figures back. `extra_include_files` packs it.
#[ktstr_test(scheduler = BPFLAND, extra_include_files = ["hackbench"], llcs = 1, cores = 2, threads = 1, duration_s = 2)]
fn the_second_run_is_no_slower_by_an_order(ctx: &Ctx) -> Result<AssertResult> {
    let first = Hackbench::run(ctx)?;
    let second = Hackbench::run(ctx)?;
    ctx.claim("second run, in times of the first").value(second.time_s / first.time_s).at_most(10.0);
    Ok(AssertResult::pass())
}

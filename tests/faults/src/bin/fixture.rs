//! Tests that go wrong in one way each; the fault tests run them as nextest would.

use ktstr::prelude::*;

#[path = "fixture/canned.rs"]
mod canned;
#[path = "fixture/checks.rs"]
mod checks;
#[path = "fixture/command.rs"]
mod command;
#[path = "fixture/payloads.rs"]
mod payloads;
#[path = "fixture/schedulers.rs"]
mod schedulers;
#[path = "fixture/shaping.rs"]
mod shaping;
#[path = "fixture/simulation.rs"]
mod simulation;
#[path = "fixture/steps.rs"]
mod steps;
#[path = "fixture/watched.rs"]
mod watched;
#[path = "fixture/work.rs"]
mod work_types;

declare_scheduler!(BPFLAND, { name = "bpfland", binary = "scx_bpfland" });
declare_scheduler!(SLEEPER, { name = "sleep", binary = "a-scheduler-that-does-not-exist", sched_args = ["600"] });
declare_scheduler!(NO_INIT, {
    name = "no_init",
    binary = "scx_bpfland",
    kargs = ["rdinit=/nonexistent", "root=/dev/nonexistent"],
});
/// The kernel's own, on another command line.
const NO_XSAVE: Scheduler = Scheduler { kargs: &["noxsave"], ..Scheduler::EEVDF };

fn short(ctx: &Ctx) -> Result<AssertResult> {
    execute_defs(ctx, vec![CgroupDef::named("a").workers(2).work_type(WorkType::SpinWait)])
}

#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1)]
fn passes(ctx: &Ctx) -> Result<AssertResult> {
    short(ctx)
}

/// Nothing but the machine: what `cargo xtask bench boot` measures.
#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1)]
fn says_hello(_ctx: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

/// The same for the lab's KVM, which tells QEMU's guests sizes of the extended states that they have not chosen: all contenders
/// of `cargo xtask bench boot` there do without.
#[ktstr_test(scheduler = NO_XSAVE, llcs = 1, cores = 2, threads = 1, duration_s = 1)]
fn says_hello_without_xsave(_ctx: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

/// Needs huge pages and a host CPU of its own.
#[ktstr_test(llcs = 1, cores = 1, threads = 1, duration_s = 1, performance_mode)]
fn in_performance_mode(ctx: &Ctx) -> Result<AssertResult> {
    execute_defs(ctx, vec![CgroupDef::named("a").workers(1).work_type(WorkType::SpinWait)])
}

#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1, expect_err)]
fn expects_an_error(ctx: &Ctx) -> Result<AssertResult> {
    short(ctx)
}

#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1)]
fn fails(ctx: &Ctx) -> Result<AssertResult> {
    ctx.claim("the answer").value(41).equals(42);
    Ok(AssertResult::pass())
}

/// Long enough for its trace to have events.
#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1)]
fn works_and_fails(ctx: &Ctx) -> Result<AssertResult> {
    let result = short(ctx)?;
    ctx.claim("the answer").value(41).equals(42);
    Ok(result)
}

#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1, expect_err)]
fn panics(_ctx: &Ctx) -> Result<AssertResult> {
    panic!("the test function panicked on purpose")
}

#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1, expect_err)]
fn powers_off(_ctx: &Ctx) -> Result<AssertResult> {
    // SAFETY: a plain system call; it ends the guest at once, which is the fault.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
    Ok(AssertResult::pass())
}

#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1, expect_err)]
fn crashes_the_kernel(_ctx: &Ctx) -> Result<AssertResult> {
    std::fs::write("/proc/sysrq-trigger", "c")?;
    Ok(AssertResult::pass())
}

/// A reset by the shortest way there is, which on a real machine nobody asks for.
#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1, expect_err)]
fn faults_three_times(_ctx: &Ctx) -> Result<AssertResult> {
    std::fs::write("/sys/kernel/reboot/type", "triple")?;
    std::fs::write("/sys/kernel/reboot/force", "1")?;
    // SAFETY: a plain system call; it ends the guest at once, which is the fault.
    unsafe { libc::reboot(libc::RB_AUTOBOOT) };
    Ok(AssertResult::pass())
}

#[ktstr_test(llcs = 4, cores = 4, threads = 1, duration_s = 1, expect_err)]
fn on_sixteen_cpus(_ctx: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(llcs = 1, cores = 2, threads = 1, duration_s = 1, expect_err)]
fn segfaults(_ctx: &Ctx) -> Result<AssertResult> {
    // SAFETY: raising a signal is a plain system call; its handler is what is tested.
    unsafe { libc::raise(libc::SIGSEGV) };
    Ok(AssertResult::pass())
}

#[ktstr_test(
    llcs = 1,
    cores = 2,
    threads = 1,
    duration_s = 1,
    watchdog_timeout_s = 1,
    cleanup_budget_ms = 1000,
    expect_err
)]
fn hangs(_ctx: &Ctx) -> Result<AssertResult> {
    loop {
        std::thread::park();
    }
}

#[ktstr_test(scheduler = NO_INIT, llcs = 1, cores = 2, threads = 1, duration_s = 1, expect_err)]
fn never_reaches_init(ctx: &Ctx) -> Result<AssertResult> {
    short(ctx)
}

#[ktstr_test(scheduler = SLEEPER, llcs = 1, cores = 2, threads = 1, duration_s = 1, expect_err)]
fn under_another_binary(ctx: &Ctx) -> Result<AssertResult> {
    short(ctx)
}

#[ktstr_test(scheduler = BPFLAND, llcs = 1, cores = 2, threads = 1, duration_s = 1)]
fn scheduler_leaves(ctx: &Ctx) -> Result<AssertResult> {
    signal_scheduler(libc::SIGTERM)?;
    short(ctx)
}

#[ktstr_test(scheduler = BPFLAND, llcs = 1, cores = 2, threads = 1, duration_s = 1)]
fn scheduler_is_killed(ctx: &Ctx) -> Result<AssertResult> {
    signal_scheduler(libc::SIGKILL)?;
    short(ctx)
}

#[ktstr_test(scheduler = BPFLAND, llcs = 1, cores = 2, threads = 1, duration_s = 1, num_snapshots = 1)]
fn wants_what_is_not_there_yet(ctx: &Ctx) -> Result<AssertResult> {
    short(ctx)
}

/// Signals the process whose name is the scheduler's, and stays until the kernel has no scheduler any more: one that is still
/// there when the test ends has not left.
fn signal_scheduler(signal: i32) -> Result<()> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.trim() == "scx_bpfland" {
            let pid: i32 = entry.file_name().to_string_lossy().parse()?;
            // SAFETY: a plain system call on a process of this guest.
            ensure!(unsafe { libc::kill(pid, signal) } == 0, "failed to signal the scheduler");
            let start = std::time::Instant::now();
            while std::fs::read_to_string("/sys/kernel/sched_ext/state")?.trim() != "disabled" {
                ensure!(start.elapsed().as_secs() < 30, "the scheduler did not leave");
                std::thread::yield_now();
            }
            return Ok(());
        }
    }
    bail!("the scheduler's process was not found")
}

fn main() {
    eprintln!("this binary is run by the fault tests: `cargo nextest run -p fault-tests`");
}

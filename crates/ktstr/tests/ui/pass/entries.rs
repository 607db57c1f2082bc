//! Attributes become fields; nothing but the prelude is imported.

use ktstr::prelude::*;

const SECONDS: u64 = 3;

declare_scheduler!(BPFLAND, {
    name = "bpfland",
    binary_path = "/opt/scx/bin/scx_bpfland",
    topology = (1, 2, 2, 1),
    sched_args = ["--verbose"],
    kernels = ["6.18..7.3"],
});

mod inner {
    use super::*;

    /// Documented.
    #[ktstr_test(
        scheduler = super::BPFLAND,
        extra_sched_args = ["-s", concat!("2", "0")],
        memory_mib = 512,
        min_cpus = 2,
        max_cpus = 16,
        requires_smt,
        duration_s = SECONDS * 2,
        watchdog_timeout_s = 7,
        cleanup_budget_ms = 100,
        not_stuck,
        isolation = false,
        max_gap_ms = 250,
        max_spread_pct = 15,
        min_page_locality = 0.8,
        max_imbalance_ratio,
        max_local_dsq_depth,
        allow_kernel_log = ["at kernel/sched/core.c:1 "],
        expect_err = true,
        expect_scx_bpf_error_contains = "stall",
        no_perf_mode,
        cpu_budget = 4,
        extra_include_files = ["/bin/true"],
        workload_root_cgroup = "/work",
        wprof = false,
        perf_delta_assertions = [PerfDeltaAssertion::lower("p99_us", 0.2), MORE],
        num_snapshots = 2,
        watch_bpf_maps = ["counters"],
        post_vm = check,
        post_vm_unconditional = self::check,
        expect_scx_bpf_error_matches = "stall|watchdog [a-z]+",
    )]
    #[ignore = "for the wrapper"]
    #[allow(unused_variables)]
    pub fn everything(ctx: &Ctx) -> Result<AssertResult> {
        let unused = 1;
        bail!("the body is `{}`", "kept")
    }

    const MORE: PerfDeltaAssertion = PerfDeltaAssertion::higher("per_s", 0.1);

    fn check(vm: &VmResult) -> Result<AssertResult> {
        Err(post_vm_skip(&*vm.test))
    }
}

#[ktstr_test]
fn nothing(_: &Ctx) -> Result<AssertResult> {
    ensure!(true, "fine");
    Ok(AssertResult::pass())
}

#[ktstr_test(host_only)]
#[cfg(any())]
fn never(_: &Ctx) -> NoSuchType {}

#[ktstr_test(host_only)]
fn r#match<'a>(_: &'a Ctx) -> Result<AssertResult> {
    Ok(AssertResult::skip("a raw name"))
}

fn by_hand(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[distributed_slice(KTSTR_TESTS)]
static RAW: KtstrTestEntry =
    KtstrTestEntry { name: "raw", func: by_hand, scheduler: &BPFLAND, ..KtstrTestEntry::DEFAULT };

#[distributed_slice(KTSTR_TESTS)]
#[linkme(crate = ktstr::linkme)]
static RAW_AS_LINKME_WANTS_IT: KtstrTestEntry =
    KtstrTestEntry { name: "raw2", func: by_hand, ..KtstrTestEntry::DEFAULT };

fn entry(name: &str) -> &'static KtstrTestEntry {
    KTSTR_TESTS.iter().find(|e| e.name == name).expect("it is registered")
}

fn main() {
    let mut names: Vec<_> = KTSTR_TESTS.iter().map(|e| e.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["everything", "match", "nothing", "raw", "raw2"]);

    let e = entry("everything");
    assert!(e.libtest_path.ends_with("::inner::everything"), "{}", e.libtest_path);
    assert_eq!(e.scheduler.name, "bpfland");
    assert_eq!(e.dimensions(), (1, 2, 2, 1));
    assert_eq!(e.extra_sched_args, ["-s", "20"]);
    assert_eq!((e.memory_mib, e.min_cpus, e.max_cpus, e.cpu_budget), (Some(512), Some(2), Some(16), Some(4)));
    assert_eq!((e.duration_s, e.watchdog_timeout_s, e.cleanup_budget_ms), (6, 7, Some(100)));
    assert!(e.requires_smt && e.expect_err && e.no_perf_mode && !e.host_only);
    let wanted = Assert {
        not_stuck: Some(true),
        isolation: Some(false),
        max_gap_ms: Some(250),
        max_spread_pct: Some(15.0),
        min_page_locality: Some(0.8),
        max_imbalance_ratio: Some(4.0),
        max_local_dsq_depth: Some(50),
        ..Assert::NONE
    };
    assert_eq!(e.assert, wanted);
    assert_eq!(e.allow_kernel_log, ["at kernel/sched/core.c:1 "]);
    assert_eq!(e.expect_scx_bpf_error_contains, Some("stall"));
    assert_eq!(e.extra_include_files, ["/bin/true"]);
    assert_eq!(e.expect_scx_bpf_error_matches, Some("stall|watchdog [a-z]+"));
    assert!(e.post_vm.is_some() && e.post_vm_unconditional.is_some());
    assert_eq!(e.workload_root_cgroup, Some("/work"));
    assert_eq!(e.deferred, ["num_snapshots", "watch_bpf_maps"]);

    let plain = entry("nothing");
    assert_eq!((plain.duration_s, plain.watchdog_timeout_s), (12, 5));
    assert!(plain.scheduler.is_eevdf() && plain.deferred.is_empty() && plain.assert == Assert::NONE);
    assert!(entry("match").libtest_path.ends_with("::r#match"));

    assert_eq!(KTSTR_SCHEDULERS.len(), 1);
    assert_eq!(KTSTR_SCHEDULERS[0].spec, SchedulerSpec::Path("/opt/scx/bin/scx_bpfland"));
}

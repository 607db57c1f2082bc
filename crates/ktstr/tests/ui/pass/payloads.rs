//! Programs as structs, by hand, and in a test.

#![deny(missing_docs)]

use ktstr::prelude::*;

const LOOPS: &str = "100";

/// The figures of hackbench.
#[derive(Debug, Payload)]
#[payload(
    binary = "hackbench",
    package = "rt-tests",
    args = ["--loops", LOOPS],
    cgroup = "bench",
    output = text,
    timeout_s = 30,
    files = ["/etc/hostname"],
)]
pub struct HackBench {
    /// Seconds of the whole run.
    #[metric(after = "Time:", at_most = 5, at_least = 0.001)]
    pub time_s: f64,
}

#[derive(Debug, Payload)]
#[payload(name = "io", binary = "fio")]
struct Fio {
    #[metric(path = "/jobs/0/read/iops")]
    iops: f64,
    #[metric]
    total: u64,
    #[metric(name = "p99_us", path = "/p99")]
    slow: Option<f64>,
}

#[derive(Payload)]
#[payload(binary = "stress-ng", args = ["--cpu", "{cpus}"])]
struct Stress;

const BY_HAND: Payload = Payload { name: "by_hand", binary: "/bin/true", ..Payload::DEFAULT };

#[ktstr_test(payload = HackBench::PAYLOAD, workloads = [Stress::PAYLOAD, BY_HAND])]
fn with_programs(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(extra_include_files = ["fio"])]
fn in_the_body(ctx: &Ctx) -> Result<AssertResult> {
    let fio = Fio::run(ctx)?;
    ctx.claim("iops").value(fio.iops).at_least(100.0);
    Ok(AssertResult::pass())
}

fn main() {
    let payload = HackBench::PAYLOAD;
    assert_eq!((payload.name, payload.binary, payload.package), ("hack_bench", "hackbench", Some("rt-tests")));
    assert_eq!((payload.args, payload.files), (&["--loops", "100"][..], &["/etc/hostname"][..]));
    assert_eq!((payload.cgroup, payload.timeout_s, payload.output), (Some("bench"), Some(30), PayloadOutput::Text));
    let wanted = PayloadMetric {
        name: "time_s",
        at: "Time:",
        optional: false,
        at_most: Some(5.0),
        at_least: Some(0.001),
    };
    assert_eq!(payload.metrics, [wanted]);

    let at: Vec<_> = Fio::PAYLOAD.metrics.iter().map(|m| (m.name, m.at, m.optional)).collect();
    assert_eq!(at, [("iops", "/jobs/0/read/iops", false), ("total", "/total", false), ("p99_us", "/p99", true)]);
    assert_eq!((Fio::PAYLOAD.name, Fio::PAYLOAD.output), ("io", PayloadOutput::Json));
    assert_eq!(Stress::PAYLOAD.output, PayloadOutput::ExitCode);

    let fio = Fio::from_figures(&|name| (name != "p99_us").then_some(7.0)).expect("all figures but an optional one");
    assert_eq!((fio.iops, fio.total, fio.slow), (7.0, 7, None));
    assert_eq!(Fio::from_figures(&|name| (name != "total").then_some(7.0)).unwrap_err(), "total");
    assert_eq!(Fio::from_figures(&|_| Some(7.5)).unwrap_err(), "total");

    let entry = KTSTR_TESTS.iter().find(|e| e.name == "with_programs").expect("it is registered");
    let names: Vec<_> = entry.payloads().map(|p| p.name).collect();
    assert_eq!(names, ["hack_bench", "stress", "by_hand"]);
    assert!(entry.validate().is_ok() && entry.deferred.is_empty());
}

//! What the CPUs did while the test ran: events of the kernel's tracer in buffers that keep the newest, sent as they are.
//! The host makes a trace of them (`ktstr-sidecar`, `trace`).
//!
//! Tracing changes what it watches, so every run of a test is traced, whether or not anybody gets to see it: a run that fails
//! must not be another than one that passes.

use crate::link::Link;
use crate::params::GuestParams;
use ktstr_verdict::Verdict;
use ktstr_wire::{Message, TestReport, TracePart, TraceWhat};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Whether a test is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tracing {
    /// Not at all.
    #[default]
    Off,
    /// The host gets it when something looks wrong.
    OnFailure,
    /// The host gets it.
    Always,
}

impl Tracing {
    /// Words for the kernel's command line that have the buffers and the scheduler's events ready when init starts (kernel:
    /// Documentation/admin-guide/kernel-parameters.txt, `trace_instance`). Each event that is switched on later is patched into
    /// code that runs, and every CPU is stopped for it. Where the kernel takes no such words, guest init does it all.
    #[must_use]
    pub fn boot_words(self, cpus: u32) -> Vec<String> {
        let Some(kib) = self.kib(cpus) else { return Vec::new() };
        let events = SCHED.map(|event| format!("sched:{event}")).join(",");
        vec![format!("trace_instance={NAME}^traceoff,{events}"), format!("trace_buf_size={kib}K")]
    }

    /// KiB of one CPU's buffer.
    fn kib(self, cpus: u32) -> Option<u32> {
        let all = match self {
            Self::Off => return None,
            Self::OnFailure => KIB,
            Self::Always => KIB_WANTED,
        };
        Some((all / cpus.max(1)).max(KIB_LEAST))
    }
}

/// Name of the buffers of its own (kernel: Documentation/trace/ftrace.rst, Instances).
const NAME: &str = "ktstr";
/// Where they are.
const INSTANCE: &str = "/sys/kernel/tracing/instances/ktstr";
/// KiB of all buffers together: some 15,000 events, and 1.4 MB through the channel.
const KIB: u32 = 1024;
/// KiB of them when the trace was asked for.
const KIB_WANTED: u32 = 4096;
/// KiB of one CPU's buffer at least: the ring needs a page for its reader and two to turn in (`rb_allocate_cpu_buffer`,
/// kernel/trace/ring_buffer.c).
const KIB_LEAST: u32 = 16;
/// Events that are recorded whatever the scheduler.
const SCHED: [&str; 5] = ["sched_switch", "sched_waking", "sched_wakeup", "sched_wakeup_new", "sched_migrate_task"];
/// Everything of this directory is recorded where a test has a scheduler, but for [`DUMP`]: to switch one on stops every CPU.
const SCHED_EXT: &str = "sched_ext";
/// Its lines are thousands, and the monitor asks for them ten times a second.
const DUMP: &str = "sched_ext_dump";
/// Bytes of one page of a ring buffer; a read of `trace_pipe_raw` gives one.
const PAGE: usize = 4096;
/// Pages in one frame: 700 KB of base64, well below what a frame may hold.
const PAGES_A_FRAME: usize = 128;

/// A running trace.
pub struct Trace {
    cpus: u32,
    wanted: bool,
    events: Vec<String>,
}

impl Trace {
    /// Begins; `None` when nobody wants it or the kernel cannot (no verdict rests on a trace, and its absence is said by the host).
    pub fn start(params: &GuestParams) -> Option<Self> {
        let cpus = params.topology.total_cpus();
        let kib = params.trace.kib(cpus)?;
        // The kernel has made them while it booted, or they are made now. Their clock stays the one of the scheduler (`local`): with
        // a TSC that is reliable it is one for all CPUs, and another would empty the buffers first, each CPU's in turn.
        if !Path::new(INSTANCE).is_dir() {
            fs::create_dir(INSTANCE).ok()?;
            write("tracing_on", "0")?;
            write("buffer_size_kb", &kib.to_string())?;
        }
        let _ = write("options/record-tgid", "1");
        let mut trace = Self { cpus, wanted: params.trace == Tracing::Always, events: Vec::new() };
        for name in SCHED {
            trace.enable(format!("events/sched/{name}"));
        }
        if params.scheduler.is_some() || !params.staged.is_empty() {
            trace.enable_sched_ext();
        }
        write("tracing_on", "1")?;
        Some(trace)
    }

    fn enable_sched_ext(&mut self) {
        let mut own: Vec<String> = fs::read_dir(format!("{INSTANCE}/events/{SCHED_EXT}"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(SCHED_EXT) && name != DUMP)
            .collect();
        own.sort();
        for name in own {
            self.enable(format!("events/{SCHED_EXT}/{name}"));
        }
    }

    fn enable(&mut self, event: String) {
        if write(&format!("{event}/enable"), "1").is_some() {
            self.events.push(event);
        }
    }

    /// Stops, and sends what there is when somebody wants it or the run looks as if somebody would.
    pub fn stop(self, params: &GuestParams, report: &TestReport, link: &Link) {
        if write("tracing_on", "0").is_some() && (self.wanted || looks_wrong(params, report)) {
            self.send(link);
        }
    }

    fn send(&self, link: &Link) {
        let part = |what, bytes| link.send(&Message::Trace(TracePart { what, bytes }));
        for event in &self.events {
            if let Ok(format) = fs::read(format!("{INSTANCE}/{event}/format")) {
                part(TraceWhat::Format, format);
            }
        }
        if let Ok(groups) = fs::read("/sys/kernel/tracing/saved_tgids") {
            part(TraceWhat::ThreadGroups, groups);
        }
        for cpu in 0..self.cpus {
            for pages in Pages::of(cpu).into_iter().flatten() {
                part(TraceWhat::Pages { cpu }, pages);
            }
        }
    }
}

fn write(file: &str, value: &str) -> Option<()> {
    fs::write(PathBuf::from(INSTANCE).join(file), value).ok()
}

/// Signs of a failure that can be seen from inside; the host has the last word, and more to look at.
fn looks_wrong(params: &GuestParams, report: &TestReport) -> bool {
    let failed = report.ok.as_ref().is_none_or(|ok| ok.fold() != Verdict::Pass);
    let state = fs::read_to_string("/sys/kernel/sched_ext/state").unwrap_or_default();
    let left = params.scheduler.is_some() && state.trim() != "enabled";
    // Set by a warning, an oops, a lockup (kernel: Documentation/admin-guide/tainted-kernels.rst).
    let taint = fs::read_to_string("/proc/sys/kernel/tainted").unwrap_or_default();
    failed || left || taint.trim() != "0"
}

/// The pages of one CPU, some at a time.
struct Pages(fs::File);

impl Pages {
    fn of(cpu: u32) -> Option<Self> {
        let path = format!("{INSTANCE}/per_cpu/cpu{cpu}/trace_pipe_raw");
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok().map(Self)
    }
}

impl Iterator for Pages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut page = [0u8; PAGE];
        while out.len() < PAGES_A_FRAME * PAGE {
            match self.0.read(&mut page) {
                Ok(PAGE) => out.extend_from_slice(&page),
                Ok(_) | Err(_) => break,
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_for_buffers_only_where_there_is_a_trace() {
        assert_eq!(Tracing::Off.boot_words(2), Vec::<String>::new());
        let [instance, size] = &Tracing::OnFailure.boot_words(4)[..] else { unreachable!("two words") };
        assert!(instance.starts_with("trace_instance=ktstr^traceoff,sched:sched_switch,"), "{instance}");
        assert_eq!(size, "trace_buf_size=256K");
        assert_eq!(Tracing::Always.boot_words(1)[1], "trace_buf_size=4096K");
        assert_eq!(Tracing::OnFailure.boot_words(252)[1], "trace_buf_size=16K");
    }
}

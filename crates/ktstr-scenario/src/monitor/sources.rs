//! Where samples come from: the only place of the monitor that reads files.

use super::parse;
use super::sample::{Read, Sample};
use crate::assert::Assert;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

const LOADAVG: &str = "/proc/loadavg";
const SCHEDSTAT: &str = "/proc/schedstat";
const EVENTS: &str = "/sys/kernel/sched_ext/root/events";
const ENABLE_SEQ: &str = "/sys/kernel/sched_ext/enable_seq";
const SCHED_DEBUG: &str = "/sys/kernel/debug/sched/debug";
const SYSRQ: &str = "/proc/sysrq-trigger";
/// Buffers of their own in tracefs, so that nobody else's tracing is touched (kernel: Documentation/trace/ftrace.rst).
const INSTANCES: &str = "/sys/kernel/tracing/instances";
/// Buffer of the CPU that dumps, KiB: a task takes about 1.5 KiB, so there is room for thousands.
const DUMP_KIB: &str = "4096";
/// Buffer of every other CPU, KiB: nothing is written there.
const OTHER_KIB: &str = "4";

/// Sources that cost too much to be read when nobody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Run queues: text of every task, milliseconds under emulation.
    pub queues: bool,
    /// Local dispatch queues: a dump with all run queues locked in turn, tens of milliseconds under emulation.
    pub dump: bool,
    /// On somebody's host no dump is triggered.
    pub host: bool,
}

impl Wanted {
    /// What these checks need.
    pub fn by(assert: &Assert, host: bool) -> Self {
        Self {
            queues: assert.max_imbalance_ratio.is_some() || assert.fail_on_rq_clock_stuck == Some(true),
            dump: assert.max_local_dsq_depth.is_some(),
            host,
        }
    }

    /// The same without the dump.
    pub fn without_dump(self) -> Self {
        Self { dump: false, ..self }
    }
}

/// Open sources.
#[derive(Debug)]
pub(super) struct Sources {
    wanted: Wanted,
    dump: Option<Read<Dump>>,
}

impl Sources {
    /// Prepares what the wanted sources need.
    pub fn open(wanted: Wanted) -> Self {
        let dump = || if wanted.host { Err("no dumps are triggered on the host".to_owned()) } else { Dump::open() };
        Self { wanted, dump: wanted.dump.then(dump) }
    }

    /// Looks at everything now.
    pub fn sample(&mut self, at_ns: u64) -> Sample {
        let me = rustix::thread::gettid().as_raw_nonzero().get();
        let queues = || {
            let mut queues = read(SCHED_DEBUG, parse::run_queues)?;
            // The reader runs while it reads: it is no load of the test's.
            for queue in &mut queues {
                if i64::from(queue.running_pid) == i64::from(me) {
                    queue.tasks = queue.tasks.saturating_sub(1);
                }
            }
            Ok(queues)
        };
        Sample {
            at_ns,
            runnable: read(LOADAVG, parse::runnable).map(|n| n.saturating_sub(1)),
            cpus: read(SCHEDSTAT, parse::cpu_times),
            events: read(EVENTS, parse::events),
            enable_seq: fs::read_to_string(ENABLE_SEQ).ok().and_then(|t| t.trim().parse().ok()),
            queues: self.wanted.queues.then(queues),
            local_dsqs: self.dump.as_mut().map(|dump| match dump {
                Ok(dump) => dump.take(),
                Err(why) => Err(why.clone()),
            }),
        }
    }
}

/// Reads and understands one file.
pub(super) fn read<T>(path: &str, parse: impl Fn(&str) -> Read<T>) -> Read<T> {
    let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    parse(&text).map_err(|e| format!("{path}: {e}"))
}

/// Counters of the attached scheduler, and which attachment they belong to.
pub(super) fn read_events() -> Read<(u64, std::collections::BTreeMap<String, i64>)> {
    let enable_seq = read(ENABLE_SEQ, |t| t.trim().parse().map_err(|_| "not a number".to_owned()))?;
    Ok((enable_seq, read(EVENTS, parse::events)?))
}

/// Debug dumps of `sched_ext`: sysrq D makes one without disabling anything, and its trace event carries it (kernel/sched/ext.c,
/// sysrq_handle_sched_ext_dump, dump_line). Nothing else of a stock kernel shows local dispatch queues.
#[derive(Debug)]
struct Dump {
    // Closed before the instance is removed.
    pipe: Option<File>,
    instance: String,
}

impl Dump {
    fn open() -> Read<Self> {
        // Its thread's number, for a test may run two monitors at once.
        let instance = format!("{INSTANCES}/ktstr-monitor-{}", rustix::thread::gettid().as_raw_nonzero());
        fs::create_dir(&instance).map_err(|e| format!("{instance}: {e}"))?;
        let mut dump = Self { pipe: None, instance };
        let cpu = rustix::thread::sched_getcpu();
        let settings = [
            ("buffer_size_kb".to_owned(), OTHER_KIB),
            (format!("per_cpu/cpu{cpu}/buffer_size_kb"), DUMP_KIB),
            ("events/sched_ext/sched_ext_dump/enable".to_owned(), "1"),
        ];
        for (file, value) in settings {
            let path = format!("{}/{file}", dump.instance);
            fs::write(&path, value).map_err(|e| format!("{path}: {e}"))?;
        }
        let path = dump.pipe_path();
        let pipe = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
        dump.pipe = Some(pipe.map_err(|e| format!("{path}: {e}"))?);
        Ok(dump)
    }

    fn pipe_path(&self) -> String {
        format!("{}/trace_pipe", self.instance)
    }

    fn take(&mut self) -> Read<Vec<(u32, u64)>> {
        self.read()?;
        fs::write(SYSRQ, "D").map_err(|e| format!("{SYSRQ}: {e}"))?;
        let text = self.read()?;
        parse::local_depths(&text).map_err(|e| format!("{} after sysrq D: {e}", self.pipe_path()))
    }

    /// Everything that is there; reading consumes it.
    fn read(&mut self) -> Read<String> {
        let mut text = Vec::new();
        let read = self.pipe.as_mut().map_or(Ok(0), |pipe| pipe.read_to_end(&mut text));
        match read {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(format!("{}: {e}", self.pipe_path())),
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = fs::remove_dir(&self.instance);
    }
}

//! What the guest has to say.

use ktstr_topology::ReadBack;
use ktstr_verdict::AssertResult;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Version of the payloads.
pub const SCHEMA: u32 = 1;

/// Tells one attempt's stream from every other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Nonce(pub u64);

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A frame's kind byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the message of the same name")]
pub enum Kind {
    Hello = 1,
    Console = 2,
    Scheduler = 3,
    SchedulerLog = 4,
    Phase = 5,
    Metrics = 6,
    Outcome = 7,
    Panic = 8,
    Profraw = 9,
    ExitCode = 10,
    Bye = 11,
    Output = 12,
    Trace = 13,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        use Kind::{
            Bye, Console, ExitCode, Hello, Metrics, Outcome, Output, Panic, Phase, Profraw, Scheduler, SchedulerLog,
            Trace,
        };
        [Hello, Console, Scheduler, SchedulerLog, Phase, Metrics, Outcome, Panic, Profraw, ExitCode, Bye, Output, Trace]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// First frame: which machine this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`SCHEMA`] of the guest.
    pub schema: u32,
    /// Kernel release (uname -r).
    pub release: String,
    /// The topology as sysfs shows it.
    pub read_back: ReadBack,
    /// Monotonic clock when PID 1 began, ns.
    #[serde(default)]
    pub init_ns: u64,
    /// Monotonic clock when all of this had been found out, ns.
    pub clock_ns: u64,
    /// /proc/cmdline.
    pub cmdline: String,
}

/// When the state of `sched_ext` was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum When {
    /// Before the test function.
    Attach,
    /// After the test function, before the scheduler was stopped.
    Detach,
    /// After it was stopped.
    Stopped,
    /// In a running test, before a scheduler is stopped on purpose.
    Leaving,
    /// After that; none is attached.
    Left,
    /// In a running test, after a scheduler was attached on purpose.
    Joined,
}

/// The scheduler's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProcessSeen {
    /// There is none.
    None,
    /// It runs.
    Alive,
    /// It ended with this status.
    Exited(i32),
    /// It was ended by this signal.
    Signaled(i32),
}

/// A file that switches a scheduler of the kernel, read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchSeen {
    /// The file.
    pub path: String,
    /// What was written to it.
    pub wanted: String,
    /// What it says; `None` when it cannot be read.
    pub seen: Option<String>,
}

/// A BPF program of a scheduler; of several with one name, what they have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSeen {
    /// Instructions that the kernel's verifier went through.
    pub verified_insns: u64,
    /// Times it ran while that was counted.
    pub calls: u64,
    /// Nanoseconds that took.
    pub ns: u64,
}

/// /sys/kernel/sched_ext at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerSeen {
    /// The instant.
    pub when: When,
    /// Declared name of the scheduler that this is about; `None` when none was launched.
    #[serde(default)]
    pub name: Option<String>,
    /// `state`, or "absent" where the kernel has no `sched_ext`.
    pub state: String,
    /// `root/ops`.
    pub ops: Option<String>,
    /// `enable_seq`.
    pub enable_seq: u64,
    /// `nr_rejected`.
    pub nr_rejected: u64,
    /// `hotplug_seq`.
    pub hotplug_seq: u64,
    /// The process that was launched.
    pub process: ProcessSeen,
    /// The kernel's words on why it left.
    pub exit_info: Option<String>,
    /// `root/events`.
    pub events: BTreeMap<String, i64>,
    /// For a scheduler of the kernel: its switches.
    #[serde(default)]
    pub switches: Vec<SwitchSeen>,
    /// The BPF programs that came with it, by name, while it is attached.
    #[serde(default)]
    pub programs: BTreeMap<String, ProgramSeen>,
}

/// How far a guest got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Setting itself up.
    Init,
    /// Launching and attaching the scheduler.
    Scheduler,
    /// The test function.
    Test,
    /// Carrying out a scenario in it, which failed for a reason that is the harness's or the test's own.
    Scenario,
}

/// The test function's answer, or the error that came instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestReport {
    /// Its outcomes.
    pub ok: Option<AssertResult>,
    /// The error.
    pub err: Option<String>,
    /// Where it arose.
    pub stage: Stage,
}

/// A panic or fatal signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanicReport {
    /// What it said.
    pub message: String,
    /// file:line.
    pub location: String,
    /// Frames with function names.
    pub backtrace: String,
}

/// What a part of a trace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TraceWhat {
    /// The `format` file of one event.
    Format,
    /// Lines of thread and thread group (`saved_tgids`).
    ThreadGroups,
    /// Whole pages of a CPU's ring buffer (`trace_pipe_raw`), oldest first.
    Pages {
        /// The CPU.
        cpu: u32,
    },
}

/// A part of what the kernel's tracer kept (kernel: Documentation/trace/ftrace.rst). No verdict rests on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracePart {
    /// What the bytes are.
    pub what: TraceWhat,
    /// As the kernel wrote them.
    #[serde(with = "crate::base64")]
    pub bytes: Vec<u8>,
}

/// Last frame: how much there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// Frames before this one.
    pub frames: u64,
    /// Bytes before this one.
    pub bytes: u64,
}

/// One frame's meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// The machine.
    Hello(Hello),
    /// Lines of the kernel's log.
    Console(String),
    /// `sched_ext` at one instant.
    Scheduler(SchedulerSeen),
    /// A line of the scheduler's own output.
    SchedulerLog(String),
    /// A phase begins.
    Phase(String),
    /// Named figures.
    Metrics(BTreeMap<String, f64>),
    /// The result.
    Outcome(TestReport),
    /// A crash.
    Panic(PanicReport),
    /// A coverage profile.
    Profraw {
        /// File name.
        name: String,
        /// Its content.
        #[serde(with = "crate::base64")]
        bytes: Vec<u8>,
    },
    /// Exit code of a payload.
    ExitCode(i32),
    /// The end.
    Bye(Bye),
    /// What a command in a shell's machine wrote.
    Output {
        /// To stderr, not to stdout.
        error: bool,
        /// Whatever it was.
        bytes: Vec<u8>,
    },
    /// A part of what the kernel's tracer kept.
    Trace(TracePart),
}

impl Message {
    /// The kind byte it travels under.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Console(_) => Kind::Console,
            Self::Scheduler(_) => Kind::Scheduler,
            Self::SchedulerLog(_) => Kind::SchedulerLog,
            Self::Phase(_) => Kind::Phase,
            Self::Metrics(_) => Kind::Metrics,
            Self::Outcome(_) => Kind::Outcome,
            Self::Panic(_) => Kind::Panic,
            Self::Profraw { .. } => Kind::Profraw,
            Self::ExitCode(_) => Kind::ExitCode,
            Self::Bye(_) => Kind::Bye,
            Self::Output { .. } => Kind::Output,
            Self::Trace(_) => Kind::Trace,
        }
    }
}

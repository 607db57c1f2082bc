//! The machine's life: start, phases with their deadlines, end. Whatever came out is handed back, whole or not.

use crate::accel::Accel;
use crate::config::{Spoil, VmConfig};
use crate::deadline::Phase;
use crate::event::Event;
use crate::running::Running;
use anyhow::Result;
use ktstr_wire::{Message, Transcript, When};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Bytes kept of the console; the first are dropped.
const CONSOLE_KEPT: usize = 1 << 20;
/// Bytes kept of the monitor's own complaints.
const STDERR_KEPT: usize = 64 << 10;
/// How often the threads are asked how long they waited; their end is an event, and rings by itself.
const TICK: Duration = Duration::from_secs(1);

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmEnd {
    /// The monitor ended well: a power-off, or a reset, which proves nothing by itself.
    PoweredOff,
    /// The monitor ended badly.
    MonitorDied {
        /// Its exit status.
        status: String,
    },
    /// A phase took too long, and the machine was killed.
    Deadline {
        /// The phase.
        phase: Phase,
        /// Its limit, with what the host kept the machine waiting.
        after: Duration,
    },
}

/// How long the machine's threads ran and waited for a host CPU (/proc/PID/task/TID/schedstat), ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostDelay {
    /// Time on a CPU.
    pub run_ns: u64,
    /// Time runnable and waiting.
    pub run_delay_ns: u64,
}

impl HostDelay {
    /// What came after `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            run_ns: self.run_ns.saturating_sub(before.run_ns),
            run_delay_ns: self.run_delay_ns.saturating_sub(before.run_delay_ns),
        }
    }
}

/// Everything that came out of a machine.
#[derive(Debug)]
pub struct VmRun {
    /// How it ended.
    pub end: VmEnd,
    /// What the guest said.
    pub transcript: Transcript,
    /// The guest's stream as it came, for fault tests that replay it.
    pub stream: Vec<u8>,
    /// The console, its first bytes dropped when there were many.
    pub console: String,
    /// The monitor's own complaints.
    pub monitor_stderr: String,
    /// Microseconds of each phase: `start` (on KVM of `create`, `load`, `vcpus`, `entry`), `boot` (by the guest's clock
    /// `guest-kernel` until init, `guest-init` until hello), `attach`, `test`, `shutdown`, `teardown`; `bye` and `total` count
    /// from the start.
    pub phases_us: BTreeMap<String, u64>,
    /// Exits to the monitor by reason, where this process is the monitor.
    pub exits: BTreeMap<String, u64>,
    /// How long the machine waited for host CPUs.
    pub host_delay: HostDelay,
    /// The same while the test's function ran.
    pub test_delay: HostDelay,
    /// Host CPUs that a guest CPU can count on at once, at most 1.
    pub vcpu_share: f64,
    /// Of a simulated machine that ended by itself: SHA-256 over the SHA-256 of all it wrote to its console and that of all it
    /// said. The same seed gives the same digest.
    pub digest: Option<String>,
    /// The whole console, kept when the machine was simulated, so that two runs can be compared.
    pub whole_console: Vec<u8>,
}

/// A machine that has not been started.
#[derive(Debug)]
pub struct Vm {
    config: VmConfig,
}

impl Vm {
    /// A machine of this make.
    #[must_use]
    pub const fn new(config: VmConfig) -> Self {
        Self { config }
    }

    /// Boots it and stays with it until its end. On every path the monitor is gone when this returns.
    ///
    /// # Errors
    /// Host classes when it could not be started here, a [`HarnessFault`](ktstr_verdict::HarnessFault) when it could not be started at all.
    pub fn run(self) -> Result<VmRun> {
        self.run_watched(&mut |_| {})
    }

    /// The same, with each message handed to `watch` as it comes.
    ///
    /// # Errors
    /// As [`Vm::run`].
    pub fn run_watched(self, watch: &mut dyn FnMut(&Message)) -> Result<VmRun> {
        let start = Instant::now();
        let (sender, receiver) = channel();
        let running = Running::start(&self.config, &sender)?;
        drop(sender);
        let mut life = Life::new(&self.config, running, start, watch);
        let end = life.watch(&receiver);
        life.sample_delay();
        let ended = Instant::now();
        life.running.finish();
        life.phases_us.insert("teardown".into(), micros(ended.elapsed()));
        // What was on its way when the machine ended.
        while let Ok(event) = receiver.try_recv() {
            life.take(event);
        }
        Ok(life.finish(end))
    }
}

struct Life<'a> {
    config: &'a VmConfig,
    running: Running,
    start: Instant,
    phase: Phase,
    phase_start: Instant,
    phases_us: BTreeMap<String, u64>,
    transcript: Transcript,
    stream: Vec<u8>,
    raw_bytes: u64,
    seen: usize,
    console: Vec<u8>,
    whole_console: Vec<u8>,
    stderr: Vec<u8>,
    host_delay: HostDelay,
    before_phase: HostDelay,
    before_test: HostDelay,
    test_delay: HostDelay,
    watch: &'a mut dyn FnMut(&Message),
}

impl<'a> Life<'a> {
    fn new(config: &'a VmConfig, running: Running, start: Instant, watch: &'a mut dyn FnMut(&Message)) -> Self {
        let mut life = Self {
            config,
            running,
            start,
            phase: Phase::Boot,
            phase_start: start,
            phases_us: BTreeMap::new(),
            transcript: Transcript::new(config.nonce),
            stream: Vec::new(),
            raw_bytes: 0,
            seen: 0,
            console: Vec::new(),
            whole_console: Vec::new(),
            stderr: Vec::new(),
            host_delay: HostDelay::default(),
            before_phase: HostDelay::default(),
            before_test: HostDelay::default(),
            test_delay: HostDelay::default(),
            watch,
        };
        life.phases_us.insert("start".into(), micros(start.elapsed()));
        for (name, took) in life.running.phases() {
            life.phases_us.insert((*name).into(), micros(*took));
        }
        if let Spoil::Replay(bytes) = &config.spoil {
            life.transcript.feed(bytes, 0);
        }
        life
    }

    fn watch(&mut self, events: &Receiver<Event>) -> VmEnd {
        let mut connected = true;
        loop {
            let waited = self.host_delay.since(self.before_phase);
            let limit = self.config.deadlines.of_a_machine_that_waited(self.phase, waited.run_delay_ns);
            let left = limit.saturating_sub(self.phase_start.elapsed());
            if left.is_zero() {
                return VmEnd::Deadline { phase: self.phase, after: limit };
            }
            if connected {
                match events.recv_timeout(left.min(TICK)) {
                    Ok(event) => self.take(event),
                    Err(RecvTimeoutError::Timeout) => self.sample_delay(),
                    Err(RecvTimeoutError::Disconnected) => connected = false,
                }
            } else {
                // Every pipe is closed: only the monitor's end is awaited.
                std::thread::sleep(Duration::from_millis(1));
            }
            if let Some(end) = self.running.try_end() {
                return end;
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Channel(bytes) => self.take_channel(bytes),
            Event::Ended => {}
            Event::Console(bytes) => {
                if self.config.terminal {
                    // Who looks at a terminal that is gone has gone as well.
                    let mut out = std::io::stdout().lock();
                    let _ = out.write_all(&bytes).and_then(|()| out.flush());
                } else if self.config.verbose {
                    eprint!("{}", String::from_utf8_lossy(&bytes));
                }
                keep_tail(&mut self.console, &bytes, CONSOLE_KEPT);
                if self.config.accel == Accel::Sim {
                    self.whole_console.extend_from_slice(&bytes);
                }
            }
            Event::Stderr(bytes) => keep_tail(&mut self.stderr, &bytes, STDERR_KEPT),
        }
    }

    fn take_channel(&mut self, mut bytes: Vec<u8>) {
        let at = self.raw_bytes;
        let len = bytes.len();
        self.raw_bytes += len as u64;
        match self.config.spoil {
            Spoil::FlipByte(byte) => {
                let inside = byte.checked_sub(at).and_then(|i| usize::try_from(i).ok());
                if let Some(slot) = inside.and_then(|i| bytes.get_mut(i)) {
                    *slot ^= 1;
                }
            }
            Spoil::CutAt(byte) => {
                let keep = usize::try_from(byte.saturating_sub(at)).unwrap_or(len);
                bytes.truncate(keep);
            }
            Spoil::Replay(_) => bytes.clear(),
            Spoil::Nothing
            | Spoil::Topology(_)
            | Spoil::FlipParameter(_)
            | Spoil::CutParameters(_)
            | Spoil::SlowConsole(_)
            | Spoil::KillMonitor
            | Spoil::PanicCpu => {}
        }
        self.stream.extend_from_slice(&bytes);
        self.transcript.feed(&bytes, micros(self.start.elapsed()));
        self.advance();
    }

    /// Moves to the phase that the newest messages stand for.
    fn advance(&mut self) {
        let mut reached = self.phase;
        for (_, message) in &self.transcript.messages()[self.seen..] {
            (self.watch)(message);
            if matches!(message, Message::Bye(_)) {
                self.phases_us.insert("bye".into(), micros(self.start.elapsed()));
            }
            if let Message::Hello(hello) = message {
                // By the guest's own clock.
                self.phases_us.insert("guest-kernel".into(), hello.init_ns / 1000);
                self.phases_us.insert("guest-init".into(), hello.clock_ns.saturating_sub(hello.init_ns) / 1000);
            }
            let next = match message {
                Message::Hello(_) => Phase::Attach,
                Message::Scheduler(s) if s.when == When::Attach => Phase::Test,
                Message::Phase(name) if name == "test-end" => Phase::Shutdown,
                Message::Outcome(_) | Message::Panic(_) | Message::Bye(_) => Phase::Shutdown,
                _ => continue,
            };
            reached = reached.max(next);
        }
        self.seen = self.transcript.messages().len();
        if reached == self.phase {
            return;
        }
        self.phases_us.insert(format!("{:?}", self.phase).to_lowercase(), micros(self.phase_start.elapsed()));
        self.sample_delay();
        self.phase = reached;
        self.phase_start = Instant::now();
        self.before_phase = self.host_delay;
        if reached == Phase::Test {
            self.before_test = self.host_delay;
        }
        if reached == Phase::Test && self.config.spoil == Spoil::KillMonitor {
            self.running.kill();
        }
    }

    fn sample_delay(&mut self) {
        // Threads that have ended are not counted any more: what was seen before they did still is.
        if let Some(delay) = self.running.delay().filter(|d| d.run_ns >= self.host_delay.run_ns) {
            self.host_delay = delay;
        }
        if self.phase == Phase::Test {
            self.test_delay = self.host_delay.since(self.before_test);
        }
    }

    fn finish(mut self, end: VmEnd) -> VmRun {
        self.phases_us.insert(format!("{:?}", self.phase).to_lowercase(), micros(self.phase_start.elapsed()));
        self.phases_us.insert("total".into(), micros(self.start.elapsed()));
        let simulated = self.config.accel == Accel::Sim && end == VmEnd::PoweredOff;
        let digest = simulated.then(|| digest(&self.whole_console, &self.stream));
        VmRun {
            digest,
            whole_console: self.whole_console,
            end,
            transcript: self.transcript,
            stream: self.stream,
            console: String::from_utf8_lossy(&self.console).into_owned(),
            monitor_stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
            phases_us: self.phases_us,
            host_delay: self.host_delay,
            test_delay: self.test_delay,
            exits: self.running.exits(),
            vcpu_share: self.running.vcpu_share(self.config.topology.total_cpus()),
        }
    }
}

/// Of each by itself first: which of the two the host reads sooner is chance.
fn digest(console: &[u8], stream: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut both = Sha256::new();
    both.update(Sha256::digest(console));
    both.update(Sha256::digest(stream));
    both.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn keep_tail(kept: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    kept.extend_from_slice(bytes);
    if kept.len() > limit {
        kept.drain(..kept.len() - limit);
    }
}

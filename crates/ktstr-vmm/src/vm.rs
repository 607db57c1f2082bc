//! The machine's life: start, phases with their deadlines, end. Whatever came out is handed back, whole or not.

use crate::accel::Accel;
use crate::config::{Spoil, VmConfig};
use crate::deadline::Phase;
use crate::tcg::{Monitor, Pipes};
use anyhow::Result;
use ktstr_verdict::HarnessFault;
use ktstr_wire::{Message, Transcript, When};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes kept of the console; the first are dropped.
const CONSOLE_KEPT: usize = 1 << 20;
/// Bytes kept of the monitor's own complaints.
const STDERR_KEPT: usize = 64 << 10;
/// How often the monitor is asked whether it has ended, and its threads how long they waited.
const TICK: Duration = Duration::from_millis(100);

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
        /// Its limit.
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
    /// Microseconds of each phase.
    pub phases_us: BTreeMap<String, u64>,
    /// How long the machine waited for host CPUs.
    pub host_delay: HostDelay,
    /// Host CPUs that a guest CPU can count on at once, at most 1.
    pub vcpu_share: f64,
}

/// A machine that has not been started.
#[derive(Debug)]
pub struct Vm {
    config: VmConfig,
}

enum Event {
    Channel(Vec<u8>),
    ChannelClosed,
    Console(Vec<u8>),
    Stderr(Vec<u8>),
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
    /// Host classes when it could not be started here, a [`HarnessFault`] when it could not be started at all.
    pub fn run(self) -> Result<VmRun> {
        if self.config.accel != Accel::Tcg {
            let what = format!("accelerator {} is not supported yet", self.config.accel);
            return Err(anyhow::Error::new(HarnessFault::new(what)));
        }
        let start = Instant::now();
        let (monitor, pipes) = Monitor::start(&self.config)?;
        let (sender, receiver) = channel();
        let readers = start_readers(pipes, &sender);
        drop(sender);
        let mut life = Life::new(&self.config, monitor, start);
        let end = life.watch(&receiver);
        life.monitor.kill();
        for reader in readers {
            let _ = reader.join();
        }
        // What the readers had in hand when the monitor ended.
        while let Ok(event) = receiver.try_recv() {
            life.take(event);
        }
        Ok(life.finish(end))
    }
}

fn start_readers(pipes: Pipes, sender: &Sender<Event>) -> Vec<JoinHandle<()>> {
    let Pipes { console, channel, stderr } = pipes;
    vec![
        reader(channel, sender.clone(), Event::Channel, true),
        reader(console, sender.clone(), Event::Console, false),
        reader(stderr, sender.clone(), Event::Stderr, false),
    ]
}

fn reader(
    mut from: impl Read + Send + 'static,
    sender: Sender<Event>,
    wrap: fn(Vec<u8>) -> Event,
    say_closed: bool,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) if sender.send(wrap(buffer[..n].to_vec())).is_ok() => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        if say_closed {
            let _ = sender.send(Event::ChannelClosed);
        }
    })
}

struct Life<'a> {
    config: &'a VmConfig,
    monitor: Monitor,
    start: Instant,
    phase: Phase,
    phase_start: Instant,
    phases_us: BTreeMap<String, u64>,
    transcript: Transcript,
    stream: Vec<u8>,
    raw_bytes: u64,
    seen: usize,
    console: Vec<u8>,
    stderr: Vec<u8>,
    host_delay: HostDelay,
}

impl<'a> Life<'a> {
    fn new(config: &'a VmConfig, monitor: Monitor, start: Instant) -> Self {
        let mut life = Self {
            config,
            monitor,
            start,
            phase: Phase::Boot,
            phase_start: start,
            phases_us: BTreeMap::new(),
            transcript: Transcript::new(config.nonce),
            stream: Vec::new(),
            raw_bytes: 0,
            seen: 0,
            console: Vec::new(),
            stderr: Vec::new(),
            host_delay: HostDelay::default(),
        };
        life.phases_us.insert("start".into(), micros(start.elapsed()));
        if let Spoil::Replay(bytes) = &config.spoil {
            life.transcript.feed(bytes, 0);
        }
        life
    }

    fn watch(&mut self, events: &Receiver<Event>) -> VmEnd {
        let mut connected = true;
        loop {
            let limit = self.config.deadlines.of(self.phase);
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
            if let Ok(Some(status)) = self.monitor.try_wait() {
                return ended(status);
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Channel(bytes) => self.take_channel(bytes),
            Event::ChannelClosed => {}
            Event::Console(bytes) => {
                if self.config.verbose {
                    eprint!("{}", String::from_utf8_lossy(&bytes));
                }
                keep_tail(&mut self.console, &bytes, CONSOLE_KEPT);
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
            Spoil::Nothing | Spoil::Topology(_) | Spoil::KillMonitor => {}
        }
        self.stream.extend_from_slice(&bytes);
        self.transcript.feed(&bytes, micros(self.start.elapsed()));
        self.advance();
    }

    /// Moves to the phase that the newest messages stand for.
    fn advance(&mut self) {
        let mut reached = self.phase;
        for (_, message) in &self.transcript.messages()[self.seen..] {
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
        self.phase = reached;
        self.phase_start = Instant::now();
        self.sample_delay();
        if reached == Phase::Test && self.config.spoil == Spoil::KillMonitor {
            self.monitor.kill();
        }
    }

    fn sample_delay(&mut self) {
        if let Some(delay) = read_delay(self.monitor.pid()) {
            self.host_delay = delay;
        }
    }

    fn finish(mut self, end: VmEnd) -> VmRun {
        self.phases_us.insert(format!("{:?}", self.phase).to_lowercase(), micros(self.phase_start.elapsed()));
        self.phases_us.insert("total".into(), micros(self.start.elapsed()));
        VmRun {
            end,
            transcript: self.transcript,
            stream: self.stream,
            console: String::from_utf8_lossy(&self.console).into_owned(),
            monitor_stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
            phases_us: self.phases_us,
            host_delay: self.host_delay,
            // One host thread serves all CPUs of the guest in turn.
            vcpu_share: 1.0 / f64::from(self.config.topology.total_cpus()),
        }
    }
}

fn ended(status: ExitStatus) -> VmEnd {
    if status.success() { VmEnd::PoweredOff } else { VmEnd::MonitorDied { status: status.to_string() } }
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

/// Sums run time and run delay over the threads of a process (kernel: Documentation/scheduler/sched-stats.rst).
fn read_delay(pid: u32) -> Option<HostDelay> {
    let mut sum = HostDelay::default();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let mut fields = text.split_ascii_whitespace().map(|f| f.parse::<u64>().unwrap_or(0));
        sum.run_ns += fields.next().unwrap_or(0);
        sum.run_delay_ns += fields.next().unwrap_or(0);
    }
    Some(sum)
}

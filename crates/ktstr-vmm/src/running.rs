//! A machine that runs, whoever runs it.

use crate::accel::Accel;
use crate::config::{Spoil, VmConfig};
use crate::event::{Event, EventSink, Quota};
use crate::keyboard;
use crate::kvm::{self, Sink as _, Why};
use crate::tcg::{Monitor, Pipes};
use crate::vm::{HostDelay, VmEnd};
use anyhow::Result;
use ktstr_verdict::PerfModeUnavailable;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a console that is a file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One of the accelerators, at work.
pub(crate) enum Running {
    /// A child process and the threads that read what it writes; a simulated machine knows nothing of the host's time.
    Qemu { monitor: Monitor, readers: Vec<JoinHandle<()>>, simulated: bool },
    /// Threads of this process.
    Kvm(kvm::Machine),
}

impl Running {
    /// Starts it; everything it says goes to `events`.
    pub fn start(config: &VmConfig, events: &Sender<Event>) -> Result<Self> {
        match config.accel {
            Accel::Tcg | Accel::Sim if config.performance.is_some() => {
                Err(anyhow::Error::new(PerfModeUnavailable::new("performance mode needs the kvm accelerator")))
            }
            Accel::Tcg | Accel::Sim => {
                let (monitor, mut pipes) = Monitor::start(config)?;
                if let Some(keys) = pipes.keyboard.take() {
                    keyboard::forward(keys, keyboard::killer(monitor.pid())?);
                }
                let simulated = config.accel == Accel::Sim;
                let every = match config.spoil {
                    Spoil::SlowConsole(ms) => Duration::from_millis(ms),
                    _ => Duration::ZERO,
                };
                Ok(Self::Qemu { monitor, readers: start_readers(pipes, events, simulated, every), simulated })
            }
            Accel::Kvm => {
                let sink = EventSink::new(events.clone(), config.spoil == Spoil::PanicCpu);
                let mut machine = kvm::Machine::start(config, sink.clone())?;
                if let Some((keys, leave)) = machine.take_keyboard() {
                    keyboard::forward(keys, move || {
                        leave();
                        sink.ended();
                    });
                }
                Ok(Self::Kvm(machine))
            }
        }
    }

    /// How it ended, if it has.
    pub fn try_end(&mut self) -> Option<VmEnd> {
        match self {
            Self::Qemu { monitor, .. } => monitor.try_wait().ok().flatten().map(ended),
            Self::Kvm(machine) => machine.ended().map(|(why, place)| match why {
                Why::PowerOff | Why::Reset => VmEnd::PoweredOff,
                Why::Broken(what) => VmEnd::MonitorDied { status: format!("{what} on {place}") },
            }),
        }
    }

    /// Ends it without asking; harmless when it has ended.
    pub fn kill(&mut self) {
        match self {
            Self::Qemu { monitor, .. } => monitor.kill(),
            Self::Kvm(machine) => machine.stop(),
        }
    }

    /// Ends it, and waits until everything it said is in the queue.
    pub fn finish(&mut self) {
        self.kill();
        if let Self::Qemu { readers, .. } = self {
            for reader in readers.drain(..) {
                let _ = reader.join();
            }
        }
    }

    /// How long its threads ran and waited.
    pub fn delay(&self) -> Option<HostDelay> {
        match self {
            Self::Qemu { simulated: true, .. } => None,
            Self::Qemu { monitor, .. } => read_delay(monitor.pid(), |_| true),
            Self::Kvm(_) => read_delay(std::process::id(), |name| name.starts_with("vcpu")),
        }
    }

    /// How long each part of its start took, where this process is the monitor.
    pub fn phases(&self) -> &[(&'static str, std::time::Duration)] {
        match self {
            Self::Qemu { .. } => &[],
            Self::Kvm(machine) => machine.phases(),
        }
    }

    /// Exits to this process by reason; complete after [`Running::finish`].
    pub fn exits(&self) -> BTreeMap<String, u64> {
        match self {
            Self::Qemu { .. } => BTreeMap::new(),
            Self::Kvm(machine) => machine.exits().clone(),
        }
    }

    /// Host CPUs that a guest CPU can count on at once, at most 1.
    pub fn vcpu_share(&self, guest_cpus: u32) -> f64 {
        let host = match self {
            // Its time is that of its own instructions: nobody waits for the host.
            Self::Qemu { simulated: true, .. } => return 1.0,
            // One host thread serves all CPUs of the guest in turn.
            Self::Qemu { .. } => 1,
            Self::Kvm(_) => crate::host::HostTopology::detect().cpus,
        };
        (f64::from(host) / f64::from(guest_cpus)).min(1.0)
    }
}

fn ended(status: ExitStatus) -> VmEnd {
    if status.success() { VmEnd::PoweredOff } else { VmEnd::MonitorDied { status: status.to_string() } }
}

fn start_readers(pipes: Pipes, sender: &Sender<Event>, simulated: bool, every: Duration) -> Vec<JoinHandle<()>> {
    let Pipes { console, channel, stderr, .. } = pipes;
    let ended = Arc::new(AtomicBool::new(!simulated));
    let console = Followed { file: console, ended: Arc::clone(&ended) };
    vec![
        reader(channel, sender.clone(), Event::Channel, Duration::ZERO),
        reader(console, sender.clone(), Event::Console, every),
        reader(UntilItEnds { pipe: stderr, ended }, sender.clone(), Event::Stderr, Duration::ZERO),
    ]
}

/// A file that grows for as long as the monitor lives; a pipe, when that is taken for ended from the start.
struct Followed {
    file: File,
    ended: Arc<AtomicBool>,
}

impl Read for Followed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            // In this order: what was written before the end is there after it.
            let ended = self.ended.load(Acquire);
            let read = self.file.read(buffer)?;
            if read > 0 || ended {
                return Ok(read);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// The pipe that closes last, with the monitor's process.
struct UntilItEnds<R> {
    pipe: R,
    ended: Arc<AtomicBool>,
}

impl<R: Read> Read for UntilItEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.pipe.read(buffer)
    }
}

impl<R> Drop for UntilItEnds<R> {
    fn drop(&mut self) {
        self.ended.store(true, Release);
    }
}

fn reader(
    mut from: impl Read + Send + 'static,
    sender: Sender<Event>,
    wrap: fn(Vec<u8>) -> Event,
    every: Duration,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let quota = Quota::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            std::thread::sleep(every);
            match from.read(&mut buffer) {
                Ok(0) => break,
                // Read on, so that the machine is not held up.
                Ok(n) if !quota.take(n) => {}
                Ok(n) if sender.send(wrap(buffer[..n].to_vec())).is_ok() => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
    })
}

/// Sums run time and run delay over the threads of a process (kernel: Documentation/scheduler/sched-stats.rst).
fn read_delay(pid: u32, wanted: impl Fn(&str) -> bool) -> Option<HostDelay> {
    let mut sum = HostDelay::default();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        if !wanted(&std::fs::read_to_string(task.path().join("comm")).unwrap_or_default()) {
            continue;
        }
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let mut fields = text.split_ascii_whitespace().map(|f| f.parse::<u64>().unwrap_or(0));
        sum.run_ns += fields.next().unwrap_or(0);
        sum.run_delay_ns += fields.next().unwrap_or(0);
    }
    Some(sum)
}

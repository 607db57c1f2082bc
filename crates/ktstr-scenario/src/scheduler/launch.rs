//! A scheduler's process: started, waited for until it is attached, looked at, stopped.

use super::exit::exit_info;
use super::maps::{self, PinnedMap};
use super::programs::{last_id, loaded_after};
use super::sysctl;
use super::sysfs::{SYSFS, observe, ops_match};
use crate::children;
use anyhow::{Context as _, Result, bail};
use ktstr_wire::{ProcessSeen, SchedulerSeen, When};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the kernel's state is looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The BPF verifier of a large scheduler takes half a minute under emulation; nothing takes this long.
const ATTACH_CAP: Duration = Duration::from_secs(120);
/// How long a scheduler may take to leave when asked.
const LEAVE_WITHIN: Duration = Duration::from_secs(15);

/// How long the kernel may take to finish what it began.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// How a scheduler is started in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerLaunch {
    /// Its declared name.
    pub name: String,
    /// Its program in the guest.
    pub binary: String,
    /// A file in the guest whose words are its first arguments.
    pub args_file: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// What `root/ops` may be, or begin with before a `_`.
    pub accepted_ops: Vec<String>,
    /// Names and values written below /proc/sys first.
    pub sysctls: Vec<(String, String)>,
    /// Seconds without any CPU time used after which a process that is not attached is given up.
    pub attach_progress_s: u64,
}

impl SchedulerLaunch {
    fn all_args(&self) -> Result<Vec<String>> {
        let Some(file) = &self.args_file else { return Ok(self.args.clone()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("failed to read the arguments in {file}"))?;
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words = lines.flat_map(str::split_ascii_whitespace).map(str::to_owned);
        Ok(words.chain(self.args.iter().cloned()).collect())
    }
}

/// A scheduler that was started; dropping it kills it.
pub struct RunningScheduler {
    child: Child,
    launch: SchedulerLaunch,
    root: PathBuf,
    before: SchedulerSeen,
    /// The BPF program that was loaded last before it started.
    program_before: u32,
    status: Option<ExitStatus>,
}

impl RunningScheduler {
    /// Starts it; each line it writes goes to `log`.
    ///
    /// # Errors
    /// A scheduler that is attached already, a sysctl that cannot be written, a program that cannot be started.
    pub fn launch(launch: &SchedulerLaunch, log: impl Fn(String) + Send + Sync + 'static) -> Result<Self> {
        Self::launch_at(Path::new(SYSFS), launch, log)
    }

    fn launch_at(root: &Path, launch: &SchedulerLaunch, log: impl Fn(String) + Send + Sync + 'static) -> Result<Self> {
        let before = observe(root, When::Attach, ProcessSeen::None);
        if before.state == "absent" {
            bail!("this kernel has no sched_ext (no {}): take one with CONFIG_SCHED_CLASS_EXT=y", root.display());
        }
        if before.state != "disabled" {
            bail!("sched_ext is `{}` before `{}` was launched: {:?}", before.state, launch.name, before.ops);
        }
        sysctl::write_all(Path::new("/proc/sys"), &launch.sysctls)?;
        let program_before = last_id();
        let mut child = Command::new(&launch.binary)
            .args(launch.all_args()?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start the scheduler {}", launch.binary))?;
        children::claim(raw_pid(&child));
        let log = Arc::new(log);
        let streams: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|s| Box::new(s) as _), child.stderr.take().map(|s| Box::new(s) as _)];
        for stream in streams.into_iter().flatten() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream).split(b'\n');
                while let Some(Ok(line)) = lines.next() {
                    log(String::from_utf8_lossy(&line).into_owned());
                }
            });
        }
        Ok(Self { child, launch: launch.clone(), root: root.to_owned(), before, program_before, status: None })
    }

    /// Waits as long as it makes progress: alive, and using CPU time.
    ///
    /// # Errors
    /// It ended, stood still, attached under another name, or was attached more than once.
    pub fn wait_attached(&mut self) -> Result<SchedulerSeen> {
        let name = self.launch.name.clone();
        let start = Instant::now();
        let idle = Duration::from_secs(self.launch.attach_progress_s);
        // On a starved host seconds pass in which nobody ran, this process as little: only what was looked at often is idle.
        let idle_looks = idle.as_millis() / LOOK_EVERY.as_millis() / 2;
        let mut used = 0;
        let mut since = Instant::now();
        let mut looks = 0;
        loop {
            let seen = self.look(When::Attach);
            // The kernel counts the enable a moment after it shows the state (kernel/sched/ext.c, scx_enable).
            if seen.state == "enabled"
                && seen.enable_seq != self.before.enable_seq
                && let Some(ops) = &seen.ops
            {
                self.check_attached(&seen, ops)?;
                return Ok(self.with_programs(seen));
            }
            // Read before the count, so a state of before the enable may stand beside a count of after it: a second look is not.
            if seen.state == "disabled"
                && seen.enable_seq != self.before.enable_seq
                && self.look(When::Attach).state == "disabled"
            {
                let why = exit_info().unwrap_or_else(|| "the kernel does not say why".to_owned());
                bail!("scheduler `{name}` was attached and left at once: {why}");
            }
            match seen.process {
                ProcessSeen::Exited(code) => {
                    bail!("scheduler `{name}` exited with status {code} before it attached")
                }
                ProcessSeen::Signaled(signal) => {
                    bail!("scheduler `{name}` was killed by signal {signal} before it attached")
                }
                ProcessSeen::Alive | ProcessSeen::None => {}
            }
            looks += 1;
            let now = cpu_ns(self.child.id());
            if now != used {
                (used, since, looks) = (now, Instant::now(), 0);
            }
            if since.elapsed() > idle && looks > idle_looks {
                bail!(
                    "scheduler `{name}` used no CPU time for {} s and never attached (state `{}`)",
                    idle.as_secs(),
                    seen.state
                );
            }
            if start.elapsed() > ATTACH_CAP {
                bail!("scheduler `{name}` did not attach within {} s (state `{}`)", ATTACH_CAP.as_secs(), seen.state);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn check_attached(&self, seen: &SchedulerSeen, ops: &str) -> Result<()> {
        if !ops_match(ops, &self.launch.accepted_ops) {
            bail!(
                "attached ops are `{ops}`, expected {:?}: give the scheduler its ops name as `name`",
                self.launch.accepted_ops
            );
        }
        let enabled = seen.enable_seq.wrapping_sub(self.before.enable_seq);
        if enabled != 1 {
            bail!("enable_seq went up by {enabled} while `{}` was launched, expected 1", self.launch.name);
        }
        if seen.process != ProcessSeen::Alive {
            bail!("`{ops}` is attached, but the process of `{}` is {:?}", self.launch.name, seen.process);
        }
        Ok(())
    }

    /// Its declared name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// Looks at kernel and process as they are now; a scheduler that is not attached any more, with the kernel's words on why.
    pub fn observe(&mut self, when: When) -> SchedulerSeen {
        let mut seen = self.look(when);
        let start = Instant::now();
        while seen.state == "disabling" && start.elapsed() < SETTLE_WITHIN {
            std::thread::sleep(LOOK_EVERY);
            seen = self.look(when);
        }
        if seen.state != "enabled" && seen.enable_seq != self.before.enable_seq {
            seen.exit_info = exit_info();
        }
        self.with_programs(seen)
    }

    /// Adds what the kernel says of its programs while they are there; no verdict rests on that.
    fn with_programs(&self, mut seen: SchedulerSeen) -> SchedulerSeen {
        if seen.state == "enabled" {
            seen.programs = loaded_after(self.program_before).unwrap_or_default();
        }
        seen
    }

    fn look(&mut self, when: When) -> SchedulerSeen {
        let process = self.process();
        SchedulerSeen { name: Some(self.launch.name.clone()), ..observe(&self.root, when, process) }
    }

    fn process(&mut self) -> ProcessSeen {
        if self.status.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            children::release(raw_pid(&self.child));
            self.status = Some(status);
        }
        match self.status {
            None => ProcessSeen::Alive,
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => ProcessSeen::Exited(code),
                (None, Some(signal)) => ProcessSeen::Signaled(signal),
                (None, None) => ProcessSeen::None,
            },
        }
    }

    /// Pins the BPF map of this name that its process holds.
    ///
    /// # Errors
    /// It holds none, or several.
    pub fn pin_map(&self, map: &str) -> Result<PinnedMap> {
        maps::pin(self.child.id(), map).with_context(|| format!("scheduler `{}`", self.launch.name))
    }

    /// Asks it to leave, makes it leave, and says what is left.
    pub fn stop(mut self, when: When) -> SchedulerSeen {
        self.signal(Signal::TERM);
        let start = Instant::now();
        while self.process() == ProcessSeen::Alive && start.elapsed() < LEAVE_WITHIN {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        // The kernel takes a moment to hand all tasks back.
        while self.look(when).state != "disabled" && start.elapsed() < LEAVE_WITHIN {
            std::thread::sleep(LOOK_EVERY);
        }
        self.observe(when)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(raw_pid(&self.child)).filter(|_| self.status.is_none()) {
            let _ = kill_process_group(pid, signal);
        }
    }

    fn kill(&mut self) {
        if self.process() == ProcessSeen::Alive {
            self.signal(Signal::KILL);
            if let Ok(status) = self.child.wait() {
                children::release(raw_pid(&self.child));
                self.status = Some(status);
            }
        }
    }
}

impl Drop for RunningScheduler {
    fn drop(&mut self) {
        self.kill();
    }
}

fn raw_pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or(i32::MAX)
}

/// CPU time of all threads of a process, ns (kernel: Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat); of those that
/// have ended it is gone, which is a change as well.
fn cpu_ns(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(args: &[&str], root: &Path) -> Result<RunningScheduler> {
        let launch = SchedulerLaunch {
            name: "fake".into(),
            binary: "/bin/sh".into(),
            args_file: None,
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            accepted_ops: vec!["fake".into()],
            sysctls: Vec::new(),
            attach_progress_s: 1,
        };
        RunningScheduler::launch_at(root, &launch, |_| {})
    }

    fn tree(state: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        std::fs::write(dir.path().join("state"), state).unwrap();
        std::fs::write(dir.path().join("enable_seq"), "0").unwrap();
        dir
    }

    fn attach_error(script: &str) -> String {
        let dir = tree("disabled");
        let script = script.replace("ROOT", &dir.path().to_string_lossy());
        let mut running = launch(&["-c", &script], dir.path()).unwrap();
        format!("{:#}", running.wait_attached().unwrap_err())
    }

    #[test]
    fn a_scheduler_that_exits_at_once_is_never_attached() {
        assert!(attach_error("exit 0").contains("exited with status 0 before it attached"));
    }

    #[test]
    fn a_scheduler_that_sleeps_is_given_up() {
        assert!(attach_error("exec sleep 60").contains("used no CPU time for 1 s and never attached"));
    }

    #[test]
    fn another_scheduler_s_name_is_not_an_attach() {
        let text = attach_error(
            "echo other > ROOT/root/ops; echo enabled > ROOT/state; echo 1 > ROOT/enable_seq; exec sleep 60",
        );
        assert!(text.contains("attached ops are `other`"), "{text}");
    }

    #[test]
    fn being_enabled_twice_is_not_an_attach() {
        let text = attach_error(
            "echo fake_1 > ROOT/root/ops; echo enabled > ROOT/state; echo 2 > ROOT/enable_seq; exec sleep 60",
        );
        assert!(text.contains("enable_seq went up by 2"), "{text}");
    }

    #[test]
    fn being_enabled_and_gone_before_anybody_looked_is_not_an_attach() {
        let text = attach_error("echo 1 > ROOT/enable_seq; exec sleep 60");
        assert!(text.contains("was attached and left at once"), "{text}");
    }

    #[test]
    fn a_scheduler_that_is_there_already_stops_the_launch() {
        let dir = tree("enabled");
        let text = launch(&["-c", "exit 0"], dir.path()).err().unwrap().to_string();
        assert!(text.contains("sched_ext is `enabled` before"), "{text}");
    }

    #[test]
    fn a_missing_binary_is_an_error_that_names_it() {
        let dir = tree("disabled");
        let launch = SchedulerLaunch { binary: "/nonexistent/scx".into(), ..good_launch() };
        let text = RunningScheduler::launch_at(dir.path(), &launch, |_| {}).err().unwrap().to_string();
        assert!(text.contains("/nonexistent/scx"), "{text}");
    }

    #[test]
    fn the_words_of_its_file_come_before_its_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("args");
        std::fs::write(&file, "# comment\n--slice 20\n  # more\n-v\n").unwrap();
        let args_file = Some(file.display().to_string());
        let launch = SchedulerLaunch { args_file, args: vec!["last one".into()], ..good_launch() };
        assert_eq!(launch.all_args().unwrap(), ["--slice", "20", "-v", "last one"]);
        let missing = SchedulerLaunch { args_file: Some("/nonexistent/args".into()), ..good_launch() };
        assert!(missing.all_args().unwrap_err().to_string().contains("/nonexistent/args"));
    }

    fn good_launch() -> SchedulerLaunch {
        SchedulerLaunch {
            name: "fake".into(),
            binary: "/bin/true".into(),
            args_file: None,
            args: Vec::new(),
            accepted_ops: Vec::new(),
            sysctls: Vec::new(),
            attach_progress_s: 1,
        }
    }
}

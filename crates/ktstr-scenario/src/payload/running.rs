//! A program that runs, and its end.

use super::capture::Capture;
use super::declare::Payload;
use super::home::{Home, PROGRAMS, locate, procs_of};
use super::judge::{End, Words, judge};
use super::watch::{Ended, Watch};
use crate::children;
use crate::ctx::Ctx;
use crate::words::last_lines;
use anyhow::{Context as _, Result, bail};
use ktstr_verdict::AssertResult;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How many I/O ports there are (ioperm(2)).
const ALL_PORTS: libc::c_ulong = 65536;
/// How long a program that is no longer wanted may take to say what it has to say.
const SAY_WITHIN: Duration = Duration::from_secs(2);
/// How long a killed program may take to be gone.
const REAP_WITHIN: Duration = Duration::from_secs(10);
/// Lines of standard error that a failure shows.
const LAST_WORDS: usize = 6;

/// A program that runs; dropping it kills it and its process group.
#[derive(Debug)]
pub struct RunningPayload {
    payload: &'static Payload,
    child: Child,
    pid: Pid,
    watch: Watch,
    pipes: Option<(Capture, Capture)>,
    timeout: Duration,
    /// Its end, once it is reaped.
    ended: Option<(Ended, ExitStatus)>,
    /// Removed last.
    _home: Option<Home>,
}

impl RunningPayload {
    /// Starts it in a cgroup (its directory), by default the one that it declares.
    ///
    /// # Errors
    /// It was not packed, or could not be started.
    pub fn spawn(ctx: &Ctx, payload: &'static Payload, cgroup: Option<&Path>) -> Result<Self> {
        payload.check().map_err(|e| anyhow::anyhow!("payload `{}`: {e}", payload.name))?;
        let program = locate(payload, ctx.is_host_only())?;
        let home = match (cgroup, payload.cgroup) {
            (None, Some(name)) => Some(Home::make(ctx.cgroup_root(), name)?),
            _ => None,
        };
        let procs = cgroup.or(home.as_ref().map(Home::path)).map(procs_of).transpose()?;
        let mut command = Command::new(&program);
        command.args(payload.args_on(ctx)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Figures are read from what it says.
        command.env("LC_ALL", "C").current_dir(std::env::temp_dir()).process_group(0);
        if !ctx.is_host_only() {
            command
                .env("PATH", format!("{PROGRAMS}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"))
                .env("HOME", "/root");
        }
        // SAFETY: between fork and exec only system calls are made: nothing allocates or locks.
        unsafe { command.pre_exec(move || settle(procs.as_ref())) };
        let began = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("payload `{}`: failed to start {}", payload.name, program.display()))?;
        let raw = i32::try_from(child.id()).context("a process id")?;
        children::claim(raw);
        let pid = Pid::from_raw(raw).context("a process has an id")?;
        let timeout = payload.timeout(ctx);
        let watch = match Watch::start(pid, began, timeout) {
            Ok(watch) => watch,
            Err(e) => {
                let _ = child.kill();
                let _ = child.wait();
                children::release(raw);
                return Err(e).with_context(|| format!("payload `{}`", payload.name));
            }
        };
        let pipes = child.stdout.take().zip(child.stderr.take());
        Ok(Self {
            payload,
            child,
            pid,
            watch,
            pipes: pipes.map(|(out, err)| (Capture::of_stdout(out), Capture::of_stderr(err))),
            timeout,
            ended: None,
            _home: home,
        })
    }

    /// Waits for its end and judges it; past its timeout it is killed, and has failed.
    ///
    /// # Errors
    /// Its end could not be had.
    pub fn wait(mut self) -> Result<AssertResult> {
        // The watch ends it in time.
        while !self.ended_within(self.timeout)? {}
        self.conclude(false)
    }

    /// Ends it; what it had to say by then is judged. One that has ended by itself is judged as by [`wait`](Self::wait).
    ///
    /// # Errors
    /// Its end could not be had.
    pub fn kill(mut self) -> Result<AssertResult> {
        if self.ended_within(Duration::ZERO)? {
            return self.conclude(false);
        }
        let _ = kill_process_group(self.pid, Signal::TERM);
        if !self.ended_within(SAY_WITHIN)? {
            let _ = kill_process_group(self.pid, Signal::KILL);
            while !self.ended_within(self.timeout)? {}
        }
        self.conclude(true)
    }

    /// How long it ran, when it has ended by itself or by its timeout.
    ///
    /// # Errors
    /// Its end could not be had.
    pub fn has_ended(&mut self) -> Result<Option<Duration>> {
        self.ended_within(Duration::ZERO)?;
        Ok(self.ended.map(|(ended, _)| ended.after))
    }

    fn ended_within(&mut self, limit: Duration) -> Result<bool> {
        if self.ended.is_none() {
            let name = self.payload.name;
            let Some(ended) = self.watch.ended_within(limit).with_context(|| format!("payload `{name}`"))? else {
                return Ok(false);
            };
            // Whoever it has left behind; until it is reaped, nobody else can have the group's number.
            let _ = kill_process_group(self.pid, Signal::KILL);
            let status = self.child.wait().with_context(|| format!("payload `{name}`: no status"))?;
            children::release(self.pid.as_raw_nonzero().get());
            self.ended = Some((ended, status));
        }
        Ok(true)
    }

    /// `stopped`: it was running until it was ended from here.
    fn conclude(&mut self, stopped: bool) -> Result<AssertResult> {
        let (ended, status) = self.ended.context("a payload that runs was to be judged")?;
        let end = match (status.code(), status.signal()) {
            _ if ended.timed_out => End::TimedOut(self.timeout),
            _ if stopped => End::Stopped,
            (Some(code), _) => End::Exited(code),
            (None, Some(signal)) => End::Signaled(signal),
            (None, None) => bail!("payload `{}` ended with {status}", self.payload.name),
        };
        let mut words = Words::default();
        if let Some((out, err)) = self.pipes.take() {
            (words.stdout, words.cut) = out.finish();
            words.stderr = last_lines(&String::from_utf8_lossy(&err.finish().0), LAST_WORDS);
        }
        Ok(judge(self.payload, end, &words, ended.after))
    }
}

impl Drop for RunningPayload {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = self.ended_within(REAP_WITHIN);
        }
    }
}

/// In the child, before its program: it moves itself into its cgroup, so that nothing of it was ever elsewhere; it does not
/// outlive us; and it gives back the channel's port, whose permission would cost every switch to it a look at the bitmap.
fn settle(procs: Option<&File>) -> std::io::Result<()> {
    if let Some(mut procs) = procs {
        procs.write_all(b"0")?;
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // SAFETY: ioperm takes three integers; this one gives back what was inherited (arch/x86/kernel/ioport.c).
    unsafe { libc::ioperm(0, ALL_PORTS, 0) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{PayloadMetric, PayloadOutput};
    use crate::{Assert, CtxParams};
    use ktstr_topology::Topology;
    use ktstr_verdict::Verdict;
    use std::sync::Arc;

    fn ctx(root: &Path) -> Ctx {
        Ctx::new(CtxParams {
            topology: Topology::new(1, 1, 3, 1).unwrap(),
            duration: Duration::from_secs(7),
            assert: Assert::NONE,
            cgroup_root: root.to_owned(),
            cgroup_walk_root: None,
            host_only: true,
            scheduler_name: "host".to_owned(),
            control: Arc::default(),
        })
    }

    fn sh(script: &'static str) -> Payload {
        let args: &'static [&'static str] = Box::leak(Box::new(["-c", script]));
        Payload { name: "p", binary: "sh", args, ..Payload::DEFAULT }
    }

    fn spawn(payload: Payload) -> RunningPayload {
        RunningPayload::spawn(&ctx(Path::new("/nonexistent")), Box::leak(Box::new(payload)), None).unwrap()
    }

    /// The process whose id the script printed into this file, once it has.
    fn told(file: &Path) -> i32 {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if let Some(pid) = text.strip_suffix('\n') {
                return pid.parse().unwrap();
            }
            std::thread::yield_now();
        }
    }

    fn is_running(pid: i32) -> bool {
        // A zombie has ended; on the host somebody else reaps it.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    fn until_it_is_gone(pid: i32) {
        let start = Instant::now();
        while is_running(pid) {
            assert!(start.elapsed() < Duration::from_secs(20), "{pid} still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_ends_well_passes_with_its_figures_and_arguments_know_the_machine() {
        let payload = Payload {
            output: PayloadOutput::Json,
            args: &["-c", "echo '{\"cpus\": {cpus}, \"s\": {duration_s}}'"],
            metrics: &[
                PayloadMetric { name: "cpus", at: "/cpus", at_most: Some(3.0), ..PayloadMetric::DEFAULT },
                PayloadMetric { name: "s", at: "/s", at_least: Some(7.0), ..PayloadMetric::DEFAULT },
            ],
            ..sh("")
        };
        let result = spawn(payload).wait().unwrap();
        assert_eq!(result.fold(), Verdict::Pass, "{result:?}");
        assert_eq!((result.metrics["p.cpus"], result.metrics["p.s"]), (3.0, 7.0));
    }

    #[test]
    fn a_bad_status_a_signal_and_a_timeout_fail_with_the_last_words() {
        let text = |payload| spawn(payload).wait().unwrap().texts(Verdict::Fail);
        let status = text(sh("echo first; echo why it went wrong >&2; exit 3"));
        assert!(status.contains("exited with status 3") && status.ends_with("  why it went wrong"), "{status}");
        assert!(text(sh("kill -SEGV $$")).contains("was killed by signal 11"));
        let late = text(Payload { timeout_s: Some(1), ..sh("echo still here >&2; sleep 60") });
        assert!(late.contains("within its timeout of 1 s") && late.contains("still here"), "{late}");
    }

    #[test]
    fn a_program_that_is_no_longer_wanted_may_say_its_figures_and_passes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script =
            format!("trap 'echo Ops: 12; exit 5' TERM; echo $$ > {}; while :; do sleep 0.01; done", file.display());
        let metrics: &[PayloadMetric] =
            &[PayloadMetric { name: "ops", at: "Ops:", at_least: Some(10.0), ..PayloadMetric::DEFAULT }];
        let running = spawn(Payload { output: PayloadOutput::Text, metrics, ..sh(script.leak()) });
        told(&file);
        let result = running.kill().unwrap();
        assert_eq!((result.fold(), result.metrics["p.ops"]), (Verdict::Pass, 12.0), "{result:?}");
    }

    #[test]
    fn a_program_is_timed_by_its_own_end_whenever_somebody_asks() {
        let payload = Payload { timeout_s: Some(1), ..sh("exec sleep 600") };
        let (short, late) = (spawn(sh("exit 0")), spawn(payload));
        let start = Instant::now();
        // Time goes by while nobody waits: the subject of this test.
        std::thread::sleep(Duration::from_millis(2500));
        let (short, late) = (short.wait().unwrap(), late.wait().unwrap());
        assert!(start.elapsed() < Duration::from_secs(20), "its timeout was not kept while nobody waited");
        assert!(short.metrics["p.wall_s"] < 2.4 && late.metrics["p.wall_s"] < 2.4, "{short:?} {late:?}");
        assert!(late.texts(Verdict::Fail).contains("its timeout of 1 s"), "{late:?}");
    }

    #[test]
    fn a_program_that_had_failed_before_it_was_ended_has_failed() {
        let mut running = spawn(sh("exit 4"));
        while running.has_ended().unwrap().is_none() {
            std::thread::yield_now();
        }
        assert!(running.kill().unwrap().texts(Verdict::Fail).contains("exited with status 4"));
    }

    #[test]
    fn nothing_of_its_group_is_left_after_its_end_its_timeout_and_its_drop() {
        let dir = tempfile::tempdir().unwrap();
        for (name, end) in [("ends", "exit 0"), ("hangs", "wait"), ("dropped", "wait")] {
            let file = dir.path().join(name);
            let script = format!("sleep 600 & echo $! > {}; {end}", file.display());
            let running = spawn(Payload { timeout_s: Some(1), ..sh(script.leak()) });
            let left = told(&file);
            if name == "dropped" {
                drop(running);
            } else {
                let _ = running.wait().unwrap();
            }
            until_it_is_gone(left);
        }
    }

    #[test]
    fn more_output_than_a_pipe_holds_does_not_hold_it_up() {
        let result = spawn(sh("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2")).wait().unwrap();
        assert_eq!(result.fold(), Verdict::Pass, "{result:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_with_its_package() {
        let payload: &'static Payload = Box::leak(Box::new(Payload {
            name: "p",
            binary: "no-such-program",
            package: Some("no-such-package"),
            ..Payload::DEFAULT
        }));
        let error = RunningPayload::spawn(&ctx(Path::new("/nonexistent")), payload, None).unwrap_err();
        assert!(error.to_string().contains("apt-get install no-such-package"), "{error}");
    }

    #[test]
    fn it_starts_inside_its_cgroup() {
        let dir = tempfile::tempdir().unwrap();
        // A plain directory stands for the cgroup: what is written to it is seen.
        let procs = dir.path().join("cgroup.procs");
        std::fs::write(&procs, "").unwrap();
        let payload: &'static Payload = Box::leak(Box::new(sh("exit 0")));
        let running = RunningPayload::spawn(&ctx(dir.path()), payload, Some(dir.path())).unwrap();
        assert_eq!(running.wait().unwrap().fold(), Verdict::Pass);
        assert_eq!(std::fs::read_to_string(&procs).unwrap(), "0");
    }
}

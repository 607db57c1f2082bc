//! The scheduler of a test: begun before it, changed while it runs, ended after it. Every change is said to the host, which
//! judges them all (`ktstr-dispatch`, `schedulers.rs`).

use super::builtin::KernelSwitches;
use super::launch::{RunningScheduler, SchedulerLaunch};
use super::maps::PinnedMap;
use super::sysfs::observe_idle;
use anyhow::{Context as _, Result, bail};
use ktstr_wire::{Message, SchedulerSeen, When};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A scheduler that can be attached in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attachable {
    /// A program that brings it.
    Program(SchedulerLaunch),
    /// A part of the kernel.
    Kernel(KernelSwitches),
}

impl Attachable {
    /// Its declared name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Program(launch) => &launch.name,
            Self::Kernel(switches) => &switches.name,
        }
    }
}

type Say = Arc<dyn Fn(Message) + Send + Sync>;

/// The scheduler under test in a test's hand: staged schedulers by their declared names.
#[derive(Default)]
pub struct SchedulerControl {
    under_test: Option<Attachable>,
    staged: Vec<Attachable>,
    say: Option<Say>,
    current: Mutex<Option<Current>>,
}

/// What is attached.
enum Current {
    Program(Box<RunningScheduler>),
    Kernel(KernelSwitches),
}

impl SchedulerControl {
    /// With the scheduler under test, if any, the staged ones, and somebody to tell.
    pub fn new(
        under_test: Option<Attachable>,
        staged: Vec<Attachable>,
        say: impl Fn(Message) + Send + Sync + 'static,
    ) -> Self {
        Self { under_test, staged, say: Some(Arc::new(say)), current: Mutex::default() }
    }

    /// Attaches the scheduler under test, before the test.
    ///
    /// # Errors
    /// It did not attach.
    pub fn begin(&self) -> Result<()> {
        let mut current = self.lock();
        let seen = match &self.under_test {
            None => observe_idle(When::Attach),
            Some(scheduler) => {
                let (running, seen) = self.start(scheduler, When::Attach)?;
                *current = Some(running);
                seen
            }
        };
        self.tell(seen);
        Ok(())
    }

    /// Looks at what is attached, and stops it, after the test.
    pub fn end(&self) {
        let mut current = self.lock();
        match current.take() {
            None => {
                self.tell(observe_idle(When::Detach));
                self.tell(observe_idle(When::Stopped));
            }
            Some(mut running) => {
                self.tell(running.observe(When::Detach));
                self.tell(running.stop(When::Stopped));
            }
        }
    }

    /// Attaches a staged scheduler, or the one under test again, where none is attached.
    ///
    /// # Errors
    /// Not staged, one is attached already, or it did not attach.
    pub fn attach(&self, name: &str) -> Result<()> {
        let scheduler = self.find(name)?;
        let mut current = self.lock();
        if let Some(running) = &*current {
            bail!("`{}` is attached already; detach it first, or replace it", running.name());
        }
        self.join(&mut current, scheduler)
    }

    /// Stops the scheduler that is attached; the kernel's own takes over.
    ///
    /// # Errors
    /// None is attached, or it did not leave.
    pub fn detach(&self) -> Result<()> {
        self.leave(&mut self.lock()).map(drop)
    }

    /// Stops the scheduler and starts it anew.
    ///
    /// # Errors
    /// None is attached, it did not leave, or it did not attach again.
    pub fn restart(&self) -> Result<()> {
        let mut current = self.lock();
        let name = self.leave(&mut current)?;
        self.join(&mut current, self.find(&name)?)
    }

    /// Stops the scheduler and attaches a staged one.
    ///
    /// # Errors
    /// As [`detach`](Self::detach) and [`attach`](Self::attach).
    pub fn replace(&self, name: &str) -> Result<()> {
        let next = self.find(name)?;
        let mut current = self.lock();
        self.leave(&mut current)?;
        self.join(&mut current, next)
    }

    /// Pins a BPF map of the scheduler that is attached, until the answer is dropped: /sys/fs/bpf/ktstr/NAME, with `_` for dots.
    ///
    /// # Errors
    /// None is attached, it is a part of the kernel, or it has no map, or several, of this name.
    pub fn pin_map(&self, map: &str) -> Result<PinnedMap> {
        match &*self.lock() {
            Some(Current::Program(running)) => running.pin_map(map),
            Some(Current::Kernel(switches)) => bail!("`{}` is a part of the kernel and has no BPF maps", switches.name),
            None => bail!("no scheduler is attached, so none has a BPF map `{map}`"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, seen: SchedulerSeen) {
        if let Some(say) = &self.say {
            say(Message::Scheduler(seen));
        }
    }

    fn find(&self, name: &str) -> Result<&Attachable> {
        let all = || self.under_test.iter().chain(&self.staged);
        all().find(|s| s.name() == name).with_context(|| {
            let names: Vec<&str> = all().map(Attachable::name).collect();
            match names.as_slice() {
                [] => format!("no scheduler `{name}` is staged: name it in `staged_schedulers` of a test in a machine"),
                some => format!("no scheduler `{name}` is staged; there are {}", some.join(", ")),
            }
        })
    }

    fn start(&self, scheduler: &Attachable, when: When) -> Result<(Current, SchedulerSeen)> {
        match scheduler {
            Attachable::Program(launch) => {
                let say = self.say.clone();
                let mut running = RunningScheduler::launch(launch, move |line| {
                    if let Some(say) = &say {
                        say(Message::SchedulerLog(line));
                    }
                })?;
                let seen = SchedulerSeen { when, ..running.wait_attached()? };
                Ok((Current::Program(Box::new(running)), seen))
            }
            Attachable::Kernel(switches) => {
                switches.switch_on().with_context(|| format!("scheduler `{}` of the kernel", switches.name))?;
                Ok((Current::Kernel(switches.clone()), switches.observe(when)))
            }
        }
    }

    /// Attaches it and says so; an attempt that failed is said as well, so that a test cannot keep it to itself.
    fn join(&self, current: &mut Option<Current>, scheduler: &Attachable) -> Result<()> {
        match self.start(scheduler, When::Joined) {
            Ok((running, seen)) => {
                *current = Some(running);
                self.tell(seen);
                Ok(())
            }
            Err(e) => {
                let seen = observe_idle(When::Joined);
                let why = format!("{e:#}");
                self.tell(SchedulerSeen { name: Some(scheduler.name().to_owned()), exit_info: Some(why), ..seen });
                Err(e)
            }
        }
    }

    /// Stops what is attached, and says how it was before and after; the answer is its name.
    fn leave(&self, current: &mut Option<Current>) -> Result<String> {
        let Some(mut running) = current.take() else {
            bail!("no scheduler is attached, so none can be stopped");
        };
        let name = running.name().to_owned();
        self.tell(running.observe(When::Leaving));
        let left = running.stop(When::Left);
        let state = left.state.clone();
        self.tell(left);
        if state == "enabled" {
            bail!("scheduler `{name}` was stopped, and sched_ext is still enabled");
        }
        Ok(name)
    }
}

impl Current {
    fn name(&self) -> &str {
        match self {
            Self::Program(running) => running.name(),
            Self::Kernel(switches) => &switches.name,
        }
    }

    fn observe(&mut self, when: When) -> SchedulerSeen {
        match self {
            Self::Program(running) => running.observe(when),
            Self::Kernel(switches) => switches.observe(when),
        }
    }

    fn stop(self, when: When) -> SchedulerSeen {
        match self {
            Self::Program(running) => running.stop(when),
            Self::Kernel(switches) => switches.switch_off(when),
        }
    }
}

impl fmt::Debug for SchedulerControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.under_test.iter().chain(&self.staged).map(Attachable::name).collect();
        f.debug_struct("SchedulerControl").field("schedulers", &names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_staged_on_a_host_and_every_change_says_so() {
        let control = SchedulerControl::default();
        assert!(control.attach("a").unwrap_err().to_string().contains("staged_schedulers"));
        assert!(control.replace("a").unwrap_err().to_string().contains("staged_schedulers"));
        assert!(control.detach().unwrap_err().to_string().contains("no scheduler is attached"));
        assert!(control.restart().unwrap_err().to_string().contains("no scheduler is attached"));
        assert!(control.pin_map("m").unwrap_err().to_string().contains("no scheduler is attached"));
    }

    /// Switched by a file of its own.
    fn switched(name: &str, dir: &std::path::Path) -> Attachable {
        let file = dir.join(name).display().to_string();
        let (enable, disable) = (vec![(file.clone(), "1".into())], vec![(file, "0".into())]);
        Attachable::Kernel(KernelSwitches { name: name.into(), enable, disable, sysctls: Vec::new() })
    }

    #[test]
    fn every_change_is_told_in_order_and_a_failed_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&told);
        let nowhere = switched("missing/b", dir.path());
        let control = SchedulerControl::new(
            Some(switched("a", dir.path())),
            vec![switched("c", dir.path()), nowhere],
            move |message| {
                if let Message::Scheduler(seen) = message {
                    ear.lock().unwrap().push((seen.when, seen.name));
                }
            },
        );
        control.begin().unwrap();
        assert!(control.attach("c").unwrap_err().to_string().contains("`a` is attached already"));
        assert!(control.attach("d").unwrap_err().to_string().contains("there are a, c, missing/b"));
        control.replace("c").unwrap();
        control.restart().unwrap();
        control.detach().unwrap();
        assert!(control.attach("missing/b").is_err());
        control.end();
        let (a, b, c) = (Some("a".to_owned()), Some("missing/b".to_owned()), Some("c".to_owned()));
        assert_eq!(
            *told.lock().unwrap(),
            [
                (When::Attach, a.clone()),
                (When::Leaving, a.clone()),
                (When::Left, a),
                (When::Joined, c.clone()),
                (When::Leaving, c.clone()),
                (When::Left, c.clone()),
                (When::Joined, c.clone()),
                (When::Leaving, c.clone()),
                (When::Left, c),
                (When::Joined, b),
                (When::Detach, None),
                (When::Stopped, None),
            ]
        );
    }
}

//! Whether the scheduler that should have been attached was, at every instant.
//!
//! The guest says how `sched_ext` is at the start, around every intentional change, at the end, and after the scheduler was
//! stopped. Between two such looks nothing may have moved: the kernel counts every enable, so equal counts with the same
//! operations attached on both sides leave no room for another scheduler, nor for none.

use crate::evaluate::Expected;
use ktstr_scenario::scheduler::switch_holds;
use ktstr_verdict::{CheckKind, Detail, Outcome};
use ktstr_wire::{ProcessSeen, SchedulerSeen, When};

/// `Err` when what was asked for never ran or cannot be proved, an outcome when it ran and did not last.
pub fn judge(expected: &Expected, seen: &[&SchedulerSeen]) -> Result<Option<Outcome>, String> {
    let (first, rest) = seen.split_first().ok_or("the guest never said how its scheduler was")?;
    let mut story = Story { expected, now: None, enable_seq: first.enable_seq, leaving: false, broken: None };
    story.begin(first)?;
    let [changes @ .., end, stopped] = rest else {
        return Err("the guest never said how its scheduler was after it was stopped".into());
    };
    for change in changes {
        match change.when {
            When::Leaving => story.leaving(change)?,
            When::Left => story.left(change)?,
            When::Joined => story.joined(change)?,
            other => return Err(format!("the guest's looks at the scheduler are out of order: {other:?}")),
        }
    }
    story.end(end)?;
    story.stopped(stopped)?;
    Ok(story.broken.map(|message| Outcome::Fail { detail: Detail::new(CheckKind::Scheduler, message) }))
}

struct Story<'a> {
    expected: &'a Expected,
    /// The look at the attached scheduler when it was attached; `None` while there should be none.
    now: Option<&'a SchedulerSeen>,
    /// What the kernel's count of enables must be.
    enable_seq: u64,
    /// A scheduler is being stopped on purpose.
    leaving: bool,
    /// The first thing that went wrong.
    broken: Option<String>,
}

impl<'a> Story<'a> {
    fn begin(&mut self, seen: &'a SchedulerSeen) -> Result<(), String> {
        if seen.when != When::Attach {
            return Err("the guest's first look at the scheduler is not the one at the start".into());
        }
        let Some(name) = &self.expected.scheduler else { return self.check_none(seen) };
        if !self.switched_by_kernel(name) && (seen.state != "enabled" || seen.ops.is_none()) {
            return Err(format!("scheduler `{name}` was never attached: state `{}` at the start", seen.state));
        }
        self.check_switches(name, seen)?;
        self.now = Some(seen);
        Ok(())
    }

    fn leaving(&mut self, seen: &SchedulerSeen) -> Result<(), String> {
        let now = self.now.filter(|_| !self.leaving).ok_or("a scheduler was stopped where none was attached")?;
        self.check_lasted(now, seen, "when it was to be stopped");
        self.leaving = true;
        Ok(())
    }

    fn left(&mut self, seen: &SchedulerSeen) -> Result<(), String> {
        let now = self.now.filter(|_| self.leaving).ok_or("a scheduler left that nobody stopped")?;
        self.check_gone(now, seen)?;
        self.now = None;
        self.leaving = false;
        Ok(())
    }

    fn joined(&mut self, seen: &'a SchedulerSeen) -> Result<(), String> {
        if self.now.is_some() {
            return Err("a scheduler was attached where one was attached already".into());
        }
        let known = self.expected.scheduler.iter().chain(&self.expected.staged);
        let name = seen
            .name
            .as_ref()
            .filter(|name| known.into_iter().any(|k| k == *name))
            .ok_or_else(|| format!("a scheduler was attached that is not staged: {:?}", seen.name))?;
        if self.switched_by_kernel(name) {
            self.check_switches(name, seen)?;
        } else {
            let why = seen.exit_info.as_deref().unwrap_or("no reason given");
            if seen.state != "enabled" || seen.ops.is_none() || seen.process != ProcessSeen::Alive {
                return Err(format!("scheduler `{name}` was not attached in the running test: {why}"));
            }
            let enables = seen.enable_seq.wrapping_sub(self.enable_seq);
            if enables != 1 {
                return Err(format!("the kernel enabled {enables} schedulers while `{name}` was attached, expected 1"));
            }
        }
        self.enable_seq = seen.enable_seq;
        self.now = Some(seen);
        Ok(())
    }

    fn end(&mut self, seen: &SchedulerSeen) -> Result<(), String> {
        if seen.when != When::Detach {
            return Err("the guest's last look at the scheduler but one is not the one at the end".into());
        }
        if self.leaving {
            return Err("a scheduler was being stopped when the test ended".into());
        }
        match self.now {
            None => self.check_none(seen),
            Some(now) => {
                self.check_lasted(now, seen, "at the end");
                Ok(())
            }
        }
    }

    fn stopped(&mut self, seen: &SchedulerSeen) -> Result<(), String> {
        if seen.when != When::Stopped {
            return Err("the guest's last look at the scheduler is not the one after it was stopped".into());
        }
        match self.now {
            None => self.check_none(seen),
            Some(now) => self.check_gone(now, seen),
        }
    }

    /// A scheduler of the kernel has no operations to be attached: its switches are what can be seen.
    fn switched_by_kernel(&self, name: &str) -> bool {
        !self.expected.switches.is_empty() && self.expected.scheduler.as_deref() == Some(name)
    }

    fn check_switches(&self, name: &str, seen: &SchedulerSeen) -> Result<(), String> {
        if !self.switched_by_kernel(name) {
            return Ok(());
        }
        match self.wrong_switch(seen) {
            Some(why) => Err(format!("scheduler `{name}` of the kernel was not switched on: {why}")),
            None => Ok(()),
        }
    }

    /// Of several values for one file, the last is the one that must be in force.
    fn wrong_switch(&self, seen: &SchedulerSeen) -> Option<String> {
        let switches = &self.expected.switches;
        switches.iter().enumerate().find_map(|(i, (path, wanted))| {
            if switches[i + 1..].iter().any(|(later, _)| later == path) {
                return None;
            }
            let found = seen.switches.iter().find(|s| s.path == *path && s.wanted == *wanted);
            match found.and_then(|s| s.seen.as_deref()) {
                Some(text) if switch_holds(wanted, text) => None,
                text => Some(format!("{path} should say `{wanted}` and says {text:?}")),
            }
        })
    }

    /// Nothing of `sched_ext`, and nothing that came and went.
    fn check_none(&self, seen: &SchedulerSeen) -> Result<(), String> {
        let asked = if self.expected.scheduler.is_none() && self.expected.staged.is_empty() {
            "the test asked for EEVDF"
        } else {
            "no scheduler should have been attached"
        };
        if seen.state != "disabled" && seen.state != "absent" {
            return Err(format!("{asked}, but a sched_ext scheduler was {}: {:?}", seen.state, seen.ops));
        }
        if seen.enable_seq != self.enable_seq {
            let times = seen.enable_seq.wrapping_sub(self.enable_seq);
            return Err(format!("{asked}, but the kernel enabled {times} in the meantime"));
        }
        Ok(())
    }

    fn check_lasted(&mut self, now: &SchedulerSeen, seen: &SchedulerSeen, at: &str) {
        let name = now.name.as_deref().or(self.expected.scheduler.as_deref()).unwrap_or("?");
        let why = if seen.state != now.state {
            Some(format!("state is `{}` {at}", seen.state))
        } else if seen.ops != now.ops {
            Some(format!("`{:?}` was attached at first and `{:?}` {at}", now.ops, seen.ops))
        } else if seen.enable_seq != self.enable_seq {
            let (was, is) = (self.enable_seq, seen.enable_seq);
            Some(format!("it was enabled again during the test (enable_seq {was} then {is})"))
        } else if seen.process != now.process {
            Some(format!("its process was {:?} {at}", seen.process))
        } else if self.switched_by_kernel(name) {
            self.wrong_switch(seen)
        } else {
            None
        };
        if let Some(why) = why {
            let exit = seen.exit_info.as_deref().map_or_else(String::new, |i| format!("; kernel: {i}"));
            let message = format!("scheduler `{name}` did not last through the test: {why}{exit}");
            self.broken.get_or_insert(message);
            // What follows is compared with what was seen here: one failure is enough.
            self.enable_seq = seen.enable_seq;
        }
    }

    fn check_gone(&mut self, now: &SchedulerSeen, seen: &SchedulerSeen) -> Result<(), String> {
        let name = now.name.as_deref().or(self.expected.scheduler.as_deref()).unwrap_or("?").to_owned();
        if self.switched_by_kernel(&name) {
            let stays = seen.switches.iter().find(|s| !s.seen.as_deref().is_some_and(|t| switch_holds(&s.wanted, t)));
            return match stays {
                Some(s) => {
                    Err(format!("scheduler `{name}` of the kernel was not switched off: {} says {:?}", s.path, s.seen))
                }
                None if seen.switches.is_empty() => {
                    Err(format!("nothing shows that scheduler `{name}` of the kernel was switched off"))
                }
                None => Ok(()),
            };
        }
        if seen.state != "disabled" && seen.state != "absent" {
            let message = format!("scheduler `{name}` did not leave when it was stopped: state is `{}`", seen.state);
            if seen.when == When::Stopped {
                self.broken.get_or_insert(message);
                return Ok(());
            }
            return Err(message);
        }
        match self.check_none(seen) {
            // A scheduler that starts itself anew may come back while it is being stopped: it had failed to last before that.
            Err(_) if self.broken.is_some() => Ok(()),
            other => other,
        }
    }
}

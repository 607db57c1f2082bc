//! Schedulers of the kernel itself, switched by writing to its files.

use super::sysctl;
use super::sysfs::{SYSFS, observe};
use anyhow::{Context as _, Result, ensure};
use ktstr_wire::{ProcessSeen, SchedulerSeen, SwitchSeen, When};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How a scheduler of the kernel is switched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSwitches {
    /// Its declared name.
    pub name: String,
    /// Files and the values that switch it on, in this order.
    pub enable: Vec<(String, String)>,
    /// Files and the values that switch it off.
    pub disable: Vec<(String, String)>,
    /// Names and values written below /proc/sys first.
    pub sysctls: Vec<(String, String)>,
}

/// Path and value of `echo VALUE > /abs/path`; `None` for everything else.
#[must_use]
pub fn echo_line(line: &str) -> Option<(String, String)> {
    let (value, path) = line.strip_prefix("echo ")?.split_once(" > ")?;
    (path.starts_with('/') && !value.trim().is_empty()).then(|| (path.trim().to_owned(), value.trim().to_owned()))
}

/// Whether a file that was given `wanted` and says `seen` is switched so.
///
/// A file of choices marks the one in force (`none [voluntary] full`, `none (full)`); a file of many flags lists them; any
/// other holds the value alone.
#[must_use]
pub fn switch_holds(wanted: &str, seen: &str) -> bool {
    let words: Vec<&str> = seen.split_ascii_whitespace().collect();
    let marked = |w: &&str| (w.starts_with('[') && w.ends_with(']')) || (w.starts_with('(') && w.ends_with(')'));
    match words.iter().copied().find(marked) {
        Some(chosen) => chosen[1..chosen.len() - 1] == *wanted,
        None => seen.trim() == wanted || words.contains(&wanted),
    }
}

impl KernelSwitches {
    pub(super) fn switch_on(&self) -> Result<()> {
        sysctl::write_all(Path::new("/proc/sys"), &self.sysctls)?;
        write(&self.enable)?;
        for seen in read_back(&self.enable) {
            let SwitchSeen { path, wanted, seen } = seen;
            let seen = seen.with_context(|| format!("{path} cannot be read back: nothing shows that it is on"))?;
            ensure!(switch_holds(&wanted, &seen), "{path} was given `{wanted}` and says `{}`", seen.trim());
        }
        Ok(())
    }

    pub(super) fn observe(&self, when: When) -> SchedulerSeen {
        self.seen(when, &self.enable)
    }

    /// Switches it off; files that say otherwise are the host's to judge.
    pub(super) fn switch_off(&self, when: When) -> SchedulerSeen {
        let _ = write(&self.disable);
        self.seen(when, &self.disable)
    }

    fn seen(&self, when: When, switches: &[(String, String)]) -> SchedulerSeen {
        let seen = observe(Path::new(SYSFS), when, ProcessSeen::None);
        SchedulerSeen { name: Some(self.name.clone()), switches: read_back(switches), ..seen }
    }
}

fn write(switches: &[(String, String)]) -> Result<()> {
    for (path, value) in switches {
        std::fs::write(path, value).with_context(|| format!("failed to write `{value}` to {path}"))?;
    }
    Ok(())
}

/// Of several values for one file, the last is the one that must be in force.
fn read_back(switches: &[(String, String)]) -> Vec<SwitchSeen> {
    let last = |i: usize, path: &String| !switches[i + 1..].iter().any(|(later, _)| later == path);
    let one = |(path, wanted): &(String, String)| SwitchSeen {
        path: path.clone(),
        wanted: wanted.clone(),
        seen: std::fs::read_to_string(path).ok(),
    };
    switches.iter().enumerate().filter(|(i, (path, _))| last(*i, path)).map(|(_, switch)| one(switch)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_echo_lines_are_understood() {
        assert_eq!(echo_line("echo 1 > /sys/x"), Some(("/sys/x".into(), "1".into())));
        for line in ["cat /sys/x", "echo 1 > sys/x", "echo  > /sys/x", "echo 1"] {
            assert_eq!(echo_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_choice_that_is_offered_is_not_one_that_is_in_force() {
        assert!(switch_holds("voluntary", "none [voluntary] full\n"));
        assert!(!switch_holds("full", "none [voluntary] full\n"));
        assert!(switch_holds("full", "none voluntary (full) lazy\n"));
        assert!(switch_holds("1", "1\n") && !switch_holds("1", "0\n") && !switch_holds("1", "10\n"));
        assert!(switch_holds("NO_HRTICK", "PLACE_LAG NO_HRTICK WAKEUP_PREEMPTION\n"));
        assert!(!switch_holds("HRTICK", "PLACE_LAG NO_HRTICK\n") && !switch_holds("1", ""));
    }

    #[test]
    fn a_switch_that_does_not_hold_is_an_error_that_says_both() {
        let switches = |path: &str| KernelSwitches {
            name: "k".into(),
            enable: vec![(path.to_owned(), "1".into())],
            disable: vec![(path.to_owned(), "0".into())],
            sysctls: Vec::new(),
        };
        let text = format!("{:#}", switches("/dev/null").switch_on().unwrap_err());
        assert_eq!(text, "/dev/null was given `1` and says ``");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("on").display().to_string();
        switches(&file).switch_on().unwrap();
        let off = switches(&file).switch_off(When::Stopped);
        assert_eq!(off.switches[0].seen.as_deref(), Some("0"));
    }
}

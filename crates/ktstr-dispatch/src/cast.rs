//! The schedulers of a test: found, and described to the guest, with the files that are packed for them.

use crate::entry::KtstrTestEntry;
use crate::env::Settings;
use crate::resolve::{ResolvedScheduler, fault, resolve};
use anyhow::Context as _;
use ktstr_scenario::scheduler::echo_line;
use ktstr_scenario::{Attachable, KernelSwitches, Scheduler, SchedulerLaunch, SchedulerSpec};
use std::path::PathBuf;

/// Seconds of no CPU use by a scheduler that is not yet attached after which the guest gives it up.
const ATTACH_IDLE_S: u64 = 10;
/// Directory of the schedulers in the guest.
const GUEST_DIR: &str = "/sched";

/// Everything about schedulers that an attempt needs.
#[derive(Debug, Default)]
pub struct Cast {
    /// The one under test; `None` for EEVDF.
    pub under_test: Option<Attachable>,
    /// Those that the test may attach.
    pub staged: Vec<Attachable>,
    /// Its program, for the record.
    pub resolved: Option<ResolvedScheduler>,
    /// Words that the environment put behind its arguments, for the record.
    pub added_args: Vec<String>,
    /// Host files and their places in the guest.
    pub files: Vec<(PathBuf, String)>,
    /// The content of `config`, and its place in the guest.
    pub texts: Vec<(String, String)>,
}

impl Cast {
    /// Finds every scheduler of `entry`, building those of the workspace.
    ///
    /// # Errors
    /// A scheduler or a file that is not there, a build that fails, a declaration that cannot be carried out.
    pub fn of(entry: &KtstrTestEntry, settings: &Settings) -> anyhow::Result<Self> {
        let mut cast = Self::default();
        cast.resolved = resolve(entry.scheduler, true, settings)?;
        cast.under_test = match entry.scheduler.spec {
            SchedulerSpec::Eevdf => None,
            SchedulerSpec::KernelBuiltin { enable, disable } => {
                Some(Attachable::Kernel(switches(entry.scheduler, enable, disable)?))
            }
            SchedulerSpec::Discover(_) | SchedulerSpec::Path(_) => {
                let found = cast.resolved.clone().context("a scheduler with a program was resolved to none")?;
                let mut launch = cast.program(entry.scheduler, &found)?;
                launch.args.extend(entry.extra_sched_args.iter().map(|a| (*a).to_owned()));
                cast.configure(entry, &mut launch)?;
                launch.args.extend(settings.scheduler_args.iter().cloned());
                cast.added_args.clone_from(&settings.scheduler_args);
                Some(Attachable::Program(launch))
            }
        };
        for scheduler in entry.staged_schedulers {
            let found = resolve(scheduler, false, settings)?
                .ok_or_else(|| fault(format!("scheduler `{}` has no program to stage", scheduler.name)))?;
            let launch = cast.program(scheduler, &found)?;
            cast.staged.push(Attachable::Program(launch));
        }
        Ok(cast)
    }

    /// What the guest must start, and what must be packed for it.
    fn program(&mut self, declared: &Scheduler, found: &ResolvedScheduler) -> anyhow::Result<SchedulerLaunch> {
        let file = found.path.file_name().map_or_else(|| "scheduler".into(), |f| f.to_string_lossy().into_owned());
        let stem = ["scx_", "scx-"].iter().find_map(|p| file.strip_prefix(p)).unwrap_or(&file).to_owned();
        let home = format!("{GUEST_DIR}/{}", declared.name);
        let binary = format!("{home}/{file}");
        self.files.push((found.path.clone(), binary.clone()));
        let args_file = declared.config_file.map(|host| self.argument_file(declared, host, &home)).transpose()?;
        Ok(SchedulerLaunch {
            name: declared.name.to_owned(),
            binary,
            args_file,
            args: declared.sched_args.iter().map(|a| (*a).to_owned()).collect(),
            accepted_ops: vec![declared.name.to_owned(), stem],
            sysctls: sysctls(declared),
            attach_progress_s: ATTACH_IDLE_S,
        })
    }

    fn argument_file(&mut self, declared: &Scheduler, host: &str, home: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(host).map_err(|e| {
            fault(format!(
                "scheduler `{}`: config_file `{host}`: {e}; it must be a text file, absolute or in the test's package",
                declared.name
            ))
        })?;
        let guest = format!("{home}/arguments");
        self.files.push((PathBuf::from(host), guest.clone()));
        Ok(guest)
    }

    /// The test's `config`, in the file that the scheduler's `config_file_def` names.
    fn configure(&mut self, entry: &KtstrTestEntry, launch: &mut SchedulerLaunch) -> anyhow::Result<()> {
        let Some(content) = entry.config else { return Ok(()) };
        let (argument, guest) = entry.scheduler.config_file_def.ok_or_else(|| {
            fault(format!("`config` is given, and scheduler `{}` has no config_file_def", entry.scheduler.name))
        })?;
        if !guest.starts_with('/') || guest.split('/').any(|part| part == "..") {
            return Err(fault(format!(
                "scheduler `{}`: config_file_def names `{guest}`, which is not an absolute path in the guest",
                entry.scheduler.name
            )));
        }
        self.texts.push((content.to_owned(), guest.to_owned()));
        // Before the others, so that a test's own arguments have the last word.
        launch.args.insert(0, argument.replace("{file}", guest));
        Ok(())
    }
}

fn switches(declared: &Scheduler, enable: &[&str], disable: &[&str]) -> anyhow::Result<KernelSwitches> {
    let parse = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| {
                echo_line(line).ok_or_else(|| {
                    let name = declared.name;
                    fault(format!("scheduler `{name}`: `{line}`: only `echo V > /abs/path` is understood"))
                })
            })
            .collect::<anyhow::Result<Vec<_>>>()
    };
    Ok(KernelSwitches {
        name: declared.name.to_owned(),
        enable: parse(enable)?,
        disable: parse(disable)?,
        sysctls: sysctls(declared),
    })
}

fn sysctls(declared: &Scheduler) -> Vec<(String, String)> {
    declared.sysctls.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::read(&|_| None)
    }

    const SHELL: Scheduler = Scheduler {
        name: "shell",
        spec: SchedulerSpec::Path("/bin/sh"),
        sched_args: &["-x"],
        config_file_def: Some(("--config={file}", "/etc/shell.conf")),
        ..Scheduler::DEFAULT
    };
    const OTHER: Scheduler = Scheduler { name: "other", spec: SchedulerSpec::Path("/bin/sh"), ..Scheduler::DEFAULT };

    fn program(attachable: Option<&Attachable>) -> &SchedulerLaunch {
        match attachable {
            Some(Attachable::Program(launch)) => launch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_configuration_is_packed_and_its_argument_comes_first() {
        let entry = KtstrTestEntry {
            scheduler: &SHELL,
            extra_sched_args: &["-y"],
            config: Some("a = 1"),
            staged_schedulers: &[&OTHER],
            ..KtstrTestEntry::DEFAULT
        };
        let cast = Cast::of(&entry, &settings()).unwrap();
        assert_eq!(program(cast.under_test.as_ref()).args, ["--config=/etc/shell.conf", "-x", "-y"]);
        let packed = |guest: &str| cast.files.iter().find(|(_, g)| g == guest).map(|(host, _)| host.clone());
        assert_eq!(cast.texts, [("a = 1".to_owned(), "/etc/shell.conf".to_owned())]);
        // Two schedulers of one binary are two, each with arguments of its own.
        assert!(packed("/sched/shell/sh").is_some() && packed("/sched/other/sh").is_some());
        assert_eq!(program(cast.staged.first()).args, [""; 0]);
        let without = KtstrTestEntry { scheduler: &SHELL, ..KtstrTestEntry::DEFAULT };
        let more = Settings { scheduler_args: vec!["-z".into()], ..settings() };
        let cast = Cast::of(&entry, &more).unwrap();
        assert_eq!(program(cast.under_test.as_ref()).args.last().map(String::as_str), Some("-z"));
        assert_eq!(cast.added_args, ["-z"]);
        assert!(program(cast.staged.first()).args.is_empty());
        assert_eq!(program(Cast::of(&without, &settings()).unwrap().under_test.as_ref()).args, ["-x"]);
    }

    #[test]
    fn a_file_of_arguments_that_is_not_there_is_named() {
        static WANTS: Scheduler = Scheduler { config_file: Some("no-such.args"), ..SHELL };
        let entry = KtstrTestEntry { scheduler: &WANTS, ..KtstrTestEntry::DEFAULT };
        let text = Cast::of(&entry, &settings()).unwrap_err().to_string();
        assert!(text.contains("config_file `no-such.args`"), "{text}");
    }

    #[test]
    fn a_line_that_needs_a_shell_is_refused() {
        static BUILT_IN: Scheduler = Scheduler {
            spec: SchedulerSpec::KernelBuiltin { enable: &["sysctl x=1"], disable: &["echo 0 > /x"] },
            ..SHELL
        };
        let entry = KtstrTestEntry { scheduler: &BUILT_IN, ..KtstrTestEntry::DEFAULT };
        assert!(Cast::of(&entry, &settings()).unwrap_err().to_string().contains("only `echo V > /abs/path`"));
    }
}

//! Running other programs, and saying so.

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// One line to a person, on stderr.
pub fn say(text: &str) {
    eprintln!("==> {text}");
}

/// Runs a command that must succeed, showing it first.
pub fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    say(&line);
    let status = command.status().with_context(|| format!("failed to start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The root of the workspace, whatever directory the user stands in.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// `cargo` in the workspace's root.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(workspace_root());
    command
}

/// Steps that are all tried: the end reports every failure, not the first.
#[derive(Default)]
pub struct Steps {
    done: Vec<(String, f64, Option<String>)>,
}

impl Steps {
    /// Runs one step and remembers how it went; the answer is whether it went well.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        say(&format!("step: {name}"));
        let start = Instant::now();
        let failure = work().err().map(|e| format!("{e:#}"));
        if let Some(failure) = &failure {
            eprintln!("==> step failed: {name}: {failure}");
        }
        let ok = failure.is_none();
        self.done.push((name.to_owned(), start.elapsed().as_secs_f64(), failure));
        ok
    }

    /// Prints the table of steps; an error when any failed.
    pub fn finish(self) -> Result<()> {
        eprintln!();
        for (name, seconds, failure) in &self.done {
            let mark = if failure.is_some() { "FAIL" } else { "ok" };
            eprintln!("{mark:>5} {seconds:>7.1} s  {name}");
        }
        let failed: Vec<&str> = self.done.iter().filter(|(_, _, f)| f.is_some()).map(|(n, _, _)| n.as_str()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        bail!("{} of {} steps failed: {}", failed.len(), self.done.len(), failed.join(", "));
    }
}

//! Shell completions and man pages, from the one definition of the command line.

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Completions for a shell.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  cargo ktstr completions bash > ~/.local/share/bash-completion/completions/cargo-ktstr"
)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Man pages, one for each command.
#[derive(clap::Args, Debug)]
pub struct Man {
    /// Directory they are written into
    dir: PathBuf,
}

/// As `cargo-ktstr`, the program that cargo starts.
fn program() -> Command {
    let cargo = crate::Cargo::command();
    let ktstr = cargo.find_subcommand("ktstr").cloned();
    ktstr.unwrap_or(cargo).name("cargo-ktstr").bin_name("cargo-ktstr")
}

/// Writes them to stdout.
pub fn run(completions: &Completions) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(completions.shell, &mut program(), "cargo-ktstr", &mut text);
    std::io::stdout().write_all(&text).context("failed to write the completions")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes them.
pub fn man(man: &Man) -> Result<ExitCode> {
    std::fs::create_dir_all(&man.dir).with_context(|| format!("failed to make {}", man.dir.display()))?;
    clap_mangen::generate_to(program(), &man.dir)
        .with_context(|| format!("failed to write the pages into {}", man.dir.display()))?;
    eprintln!("the pages are in {0}; `man -l {0}/cargo-ktstr.1` shows the first", man.dir.display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_a_completion() {
        let dir = tempfile::tempdir().unwrap();
        man(&Man { dir: dir.path().to_owned() }).unwrap();
        let mut text = Vec::new();
        clap_complete::generate(Shell::Bash, &mut program(), "cargo-ktstr", &mut text);
        let text = String::from_utf8(text).unwrap();
        for sub in program().get_subcommands() {
            let name = sub.get_name();
            assert!(dir.path().join(format!("cargo-ktstr-{name}.1")).exists(), "{name}");
            assert!(text.contains(name), "{name}");
        }
    }
}

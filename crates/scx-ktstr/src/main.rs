//! `scx-ktstr`: a scheduler with faults to switch on, so that the harness can be seen to notice each of them.

mod flags;
#[cfg(not(without_clang))]
mod run;
#[cfg(not(without_clang))]
mod signals;

use clap::Parser as _;
use std::process::ExitCode;

/// Status of a build that lacks a package (sysexits.h, EX_CONFIG).
#[cfg(without_clang)]
const INCOMPLETE: u8 = 78;

fn main() -> ExitCode {
    let flags = flags::Flags::parse();
    match flags.check().and_then(|()| run(&flags)) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("scx-ktstr: {e:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(without_clang))]
fn run(flags: &flags::Flags) -> anyhow::Result<ExitCode> {
    run::run(flags)
}

#[cfg(without_clang)]
fn run(_: &flags::Flags) -> anyhow::Result<ExitCode> {
    eprintln!("scx-ktstr: built without its BPF half; install the package clang-19 and build again");
    Ok(ExitCode::from(INCOMPLETE))
}

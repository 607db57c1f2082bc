//! `cargo ktstr export`: one file that repeats a test on a real machine.

use crate::find::base_name;
use crate::{cargo, router};
use anyhow::{Context as _, Result};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// One file that repeats a test on a real machine.
#[derive(clap::Args, Debug)]
pub struct Export {
    /// Its name, bare or as nextest shows it
    test: String,
    /// The file; NAME.run here when left out
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The package it is in
    #[arg(long, short)]
    package: Option<String>,
}

/// Writes it. Only the one binary that has the test is told to: none writes a file by being asked.
pub fn run(export: &Export) -> Result<ExitCode> {
    let owner = router::owner(&export.test, export.package.as_deref())?;
    let bare = base_name(&export.test);
    let output = export.output.clone().unwrap_or_else(|| PathBuf::from(format!("{bare}.run")));
    let mut command = Command::new(&owner.path);
    command.arg(format!("--ktstr-export-test={bare}"));
    command.arg("--ktstr-export-output").arg(&output).env_remove("NEXTEST").stdin(Stdio::null());
    Ok(cargo::code_of(command.status().with_context(|| format!("failed to start {}", owner.path.display()))?))
}

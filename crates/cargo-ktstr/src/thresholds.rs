//! `cargo ktstr show-thresholds`: the checks of a test, all layers merged.

use crate::router;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::process::ExitCode;

/// The checks of a test, all layers merged.
#[derive(clap::Args, Debug)]
pub struct ShowThresholds {
    /// Its name, bare or as nextest shows it
    test: String,
    /// The package it is in
    #[arg(long, short)]
    package: Option<String>,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(show: &ShowThresholds) -> Result<ExitCode> {
    let answer = router::ask("--ktstr-thresholds-test", &show.test, show.package.as_deref())?;
    if show.json {
        print!("{}", answer.text);
        return Ok(ExitCode::SUCCESS);
    }
    let checks: Value =
        serde_json::from_str(&answer.text).context("the test binary answered something else than JSON")?;
    for (name, value) in checks.as_object().into_iter().flatten() {
        let value = if value.is_null() { "not checked".to_owned() } else { value.to_string() };
        println!("{name:<34} {value}");
    }
    Ok(ExitCode::SUCCESS)
}

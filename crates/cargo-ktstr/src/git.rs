//! Questions to git.

use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// What `git ARGS` prints in this directory.
///
/// # Errors
/// git's own words when it refuses, and output that is not UTF-8.
pub fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git").args(args).current_dir(dir).stdin(Stdio::null()).output();
    let output = output.context("failed to start git")?;
    if !output.status.success() {
        bail!("git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("a file name is not UTF-8")
}

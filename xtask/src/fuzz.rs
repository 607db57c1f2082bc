//! `cargo xtask fuzz`: what a guest can say, by coverage-guided fuzzing.

use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Context as _, Result};
use clap::Args;
use std::process::{Command, Stdio};

/// Targets of `fuzz/`.
const TARGETS: [&str; 2] = ["bus", "stream"];

/// Options of the fuzzer.
#[derive(Args, Debug)]
pub struct Fuzz {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Fuzzes every target, from its corpus; a crash fails, and its input is kept below `fuzz/artifacts`.
pub fn fuzz(options: &Fuzz) -> Result<()> {
    let present = Command::new("cargo-fuzz").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !present.is_ok_and(|s| s.success()) {
        say("cargo-fuzz is missing and will be built");
        run(&mut cargo(&["install", "--locked", "cargo-fuzz"]))?;
    }
    for target in TARGETS {
        let mut command = cargo(&["fuzz", "run", "--sanitizer", "none", target]);
        // The seeds are kept; what the fuzzer adds to them is this machine's.
        let found = workspace_root().join("target/fuzz-corpus").join(target);
        std::fs::create_dir_all(&found).with_context(|| format!("failed to create {}", found.display()))?;
        let seeds = workspace_root().join("fuzz/corpus").join(target);
        command.arg(&found).arg(&seeds).args([
            "--",
            &format!("-max_total_time={}", options.seconds),
            "-print_final_stats=1",
        ]);
        // Coverage instrumentation is not stable; nothing else that is not is used.
        run(command.env("RUSTC_BOOTSTRAP", "1")).with_context(|| format!("the fuzzer of `{target}`"))?;
    }
    Ok(())
}

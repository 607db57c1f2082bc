//! `cargo xtask demo`: from a bare machine to a published scheduler tested on a stock kernel.

use crate::matrix::Matrix;
use crate::setup::run_setup;
use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use ktstr_kernel::Console;
use ktstr_kernel::cache::CacheEntry;
use std::path::PathBuf;

/// The stock kernel of a plain demo: the oldest long-term one with sched_ext in its distribution configuration.
pub const DEFAULT_KERNEL: &str = "6.18";
/// The published scheduler of the demo.
pub const DEMO_SCHEDULER: &str = "scx_bpfland";
/// Lets a two-core machine run shapes of up to 16 CPUs, slowly; the records say so.
pub const OVERCOMMIT: &str = "8";

/// Options of the demo.
#[derive(Args, Debug)]
pub struct Demo {
    /// One more kernel (version or range); may be given again
    #[arg(long = "kernel", value_name = "VERSION")]
    kernels: Vec<String>,
}

/// Fetches a kernel, or takes it from the cache.
pub fn fetch_kernel(request: &str) -> Result<CacheEntry> {
    ktstr_kernel::fetch::fetch(request, &Console::new()).with_context(|| format!("failed to get kernel {request}"))
}

/// Builds a published scheduler, or takes it from the cache.
pub fn install_scheduler(name: &str) -> Result<PathBuf> {
    ktstr_kernel::scheduler_cache::install(name, None, &Console::new())
        .with_context(|| format!("failed to build {name}"))
}

/// Set-up, kernels, scheduler, tests, table.
pub fn demo(options: &Demo) -> Result<()> {
    run_setup()?;
    let mut list = Vec::new();
    for request in std::iter::once(DEFAULT_KERNEL).chain(options.kernels.iter().map(String::as_str)) {
        let entry = fetch_kernel(request)?;
        say(&format!("kernel {} ({})", entry.metadata().version, entry.dir().display()));
        list.push(format!("{}={}", entry.metadata().version, entry.dir().display()));
    }
    list.dedup();
    let scheduler = install_scheduler(DEMO_SCHEDULER)?;
    say(&format!("scheduler {}", scheduler.display()));
    let records = workspace_root().join("target/ktstr/demo");
    if records.exists() {
        std::fs::remove_dir_all(&records).with_context(|| format!("failed to clear {}", records.display()))?;
    }
    let mut tests = cargo(&["nextest", "run", "-p", "first-test", "--run-ignored", "all", "--no-fail-fast"]);
    tests
        .env("KTSTR_KERNEL_LIST", list.join(";"))
        .env("KTSTR_OVERCOMMIT", OVERCOMMIT)
        .env("KTSTR_SIDECAR_DIR", &records)
        .env("KTSTR_NO_SKIP_MODE", "1");
    let outcome = run(&mut tests);
    let (found, damaged) = ktstr_sidecar::read_records(&records)?;
    for file in damaged {
        eprintln!("damaged record: {file}");
    }
    let matrix = Matrix::of(&found);
    println!("{matrix}");
    println!("records: {}", records.display());
    outcome?;
    if !matrix.proves_the_demo() {
        bail!("fewer than 2 schedulers on 4 topologies passed; the records above say why");
    }
    Ok(())
}

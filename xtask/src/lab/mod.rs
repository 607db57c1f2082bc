//! `cargo xtask lab`: a machine with a true /dev/kvm on any machine, by nesting: QEMU translates an AMD host with SVM, that
//! host's kernel loads KVM, and the project's VM tests run inside it on real KVM semantics.

mod guest;
mod outer;
mod payload;

use crate::demo::{self, DEFAULT_KERNEL, DEMO_SCHEDULER};
use crate::setup::run_setup;
use crate::step::{say, workspace_root};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use ktstr_kernel::Console;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub use guest::guest;

/// Modules of a true /dev/kvm on AMD, in the order in which they depend on each other.
const KVM_MODULES: [&str; 3] = ["irqbypass", "kvm", "kvm-amd"];
/// Where the payload keeps what only the lab needs.
const LAB_DIR: &str = "/lab";
/// Packages of the VM suite.
const SUITE: [&str; 4] = ["first-test", "fault-tests", "ktstr-vmm", "cargo-ktstr"];
/// Of the monitor's own tests those that use KVM; the others are pure. Of the command's, a person at a shell. Simulated machines
/// are QEMU's.
const FILTER: &str = "(not package(ktstr-vmm) or test(/probe/)) and (not package(cargo-ktstr) or binary(terminal)) \
                      and not binary(simulation) and not binary(schedulers)";
/// The faults of our own scheduler, minutes on top of that; two of them need cargo and the sources, which the lab has not.
const SCHEDULERS: &str = "binary(schedulers) and not test(/cargo_built|reaches_the_guest/)";

/// Outer machines at once, each with one CPU: with two, QEMU's nested paging was seen to deliver interrupts twice (0 of 12 boots
/// of an inner machine came through, with one 12 of 12), and one thread translates for both anyway.
const LANES: usize = 2;

/// CPUs of an outer machine, see [`LANES`].
const CPUS: u32 = 1;
/// MiB of an outer machine: its files, and the inner machine.
const MEMORY_MIB: u32 = 4096;
/// An AMD CPU with what SVM needs, and the topology leaves of today.
const CPU_MODEL: &str = "EPYC-Rome";

/// Options of the lab.
#[derive(Args, Debug)]
pub struct Lab {
    /// CPUs of the outer machine
    #[arg(long, default_value_t = CPUS)]
    cpus: u32,
    /// Memory of the outer machine in MiB
    #[arg(long, default_value_t = MEMORY_MIB)]
    memory: u32,
    /// CPU model of the outer machine
    #[arg(long, default_value = CPU_MODEL)]
    cpu: String,
    /// The faults of scx-ktstr instead of the VM tests
    #[arg(long, conflicts_with = "command")]
    schedulers: bool,
    /// Command to run inside instead of the VM tests; programs are taken from this machine with their libraries
    #[arg(last = true)]
    command: Vec<String>,
}

impl Default for Lab {
    fn default() -> Self {
        Self { cpus: CPUS, memory: MEMORY_MIB, cpu: CPU_MODEL.to_owned(), schedulers: false, command: Vec::new() }
    }
}

/// Boots the outer machines, runs the command or the tests in them, and fails when they do.
pub fn lab(options: &Lab) -> Result<()> {
    run_setup()?;
    let command = if options.command.is_empty() { None } else { Some(options.command.clone()) };
    run(options, command, &[])
}

/// Runs one command in an outer machine that has these files, too.
pub fn run_command(command: &[&str], extra: &[PathBuf]) -> Result<()> {
    run(&Lab::default(), Some(command.iter().map(|w| (*w).to_owned()).collect()), extra)
}

/// Where the records are afterwards, and whatever else a command left in `/lab/records`.
pub fn records() -> PathBuf {
    workspace_root().join("target/ktstr/lab/records")
}

fn run(options: &Lab, command: Option<Vec<String>>, extra: &[PathBuf]) -> Result<()> {
    let kernel = demo::fetch_kernel(DEFAULT_KERNEL)?;
    let modules = ktstr_kernel::fetch::modules(&kernel, &KVM_MODULES, &Console::new())
        .context("failed to get the modules of KVM")?;
    let scheduler = demo::install_scheduler(DEMO_SCHEDULER)?;
    let start = Instant::now();
    let suite = payload::Suite::build(&SUITE)?;
    let commands = command.map_or_else(
        || suite.commands(LANES, if options.schedulers { SCHEDULERS } else { FILTER }),
        |command| vec![command],
    );
    let archives = commands
        .iter()
        .map(|command| payload::pack(&kernel, &modules, &scheduler, &suite, command, extra))
        .collect::<Result<Vec<_>>>()?;
    let size = archives.iter().map(|a| a.size).max().unwrap_or(0);
    say(&format!("lab: {} MiB packed in {:.1} s", size >> 20, start.elapsed().as_secs_f64()));
    let start = Instant::now();
    let results = records().parent().map(Path::to_owned).context("no directory for results")?;
    if results.exists() {
        std::fs::remove_dir_all(&results).with_context(|| format!("failed to clear {}", results.display()))?;
    }
    let vmlinux = kernel.vmlinux();
    let ends: Vec<Result<Option<i32>>> = std::thread::scope(|scope| {
        let lanes: Vec<_> = archives
            .iter()
            .enumerate()
            .map(|(lane, archive)| {
                let (vmlinux, results) = (&vmlinux, &results);
                scope.spawn(move || outer::run(vmlinux, archive, results, options, lane > 0))
            })
            .collect();
        lanes.into_iter().map(|l| l.join().unwrap_or_else(|_| bail!("a lane's thread panicked"))).collect()
    });
    say(&format!("lab: {} outer machines ran for {:.1} s", ends.len(), start.elapsed().as_secs_f64()));
    say(&format!("lab: records are in {}", records().display()));
    for (command, end) in commands.iter().zip(ends) {
        match end? {
            Some(0) => {}
            Some(code) => bail!("`{}` ended with exit code {code} in the lab", command.join(" ")),
            None => bail!("an outer machine ended without saying how `{}` did: see its console", command.join(" ")),
        }
    }
    Ok(())
}

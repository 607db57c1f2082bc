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
use std::time::Instant;

pub use guest::guest;

/// Modules of a true /dev/kvm on AMD, in the order in which they depend on each other.
const KVM_MODULES: [&str; 3] = ["irqbypass", "kvm", "kvm-amd"];
/// Where the payload keeps what only the lab needs.
const LAB_DIR: &str = "/lab";
/// Tests that are about machines, and those that need none but are fast: the whole VM suite.
const SUITE: [&str; 2] = ["first-test", "fault-tests"];

/// Outer machines at once, each with one CPU: with two, QEMU's nested paging was seen to deliver interrupts twice (0 of 12 boots
/// of an inner machine came through, with one 12 of 12), and one thread translates for both anyway.
const LANES: usize = 2;

/// Options of the lab.
#[derive(Args, Debug)]
pub struct Lab {
    /// CPUs of the outer machine
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// Memory of the outer machine in MiB
    #[arg(long, default_value_t = 4096)]
    memory: u32,
    /// CPU model of the outer machine
    #[arg(long, default_value = "EPYC-Rome")]
    cpu: String,
    /// Command to run inside instead of the VM tests; programs are taken from this machine with their libraries
    #[arg(last = true)]
    command: Vec<String>,
}

/// Boots the outer machine, runs the command in it, and ends with that command's exit code.
pub fn lab(options: &Lab) -> Result<()> {
    run_setup()?;
    let kernel = demo::fetch_kernel(DEFAULT_KERNEL)?;
    let modules = ktstr_kernel::fetch::modules(&kernel, &KVM_MODULES, &Console::new())
        .context("failed to get the modules of KVM")?;
    let scheduler = demo::install_scheduler(DEMO_SCHEDULER)?;
    let start = Instant::now();
    let suite = payload::Suite::build(&SUITE)?;
    let commands = match &options.command[..] {
        [] => suite.commands(LANES),
        command => vec![command.to_vec()],
    };
    let archives = commands
        .iter()
        .map(|command| payload::pack(&kernel, &modules, &scheduler, &suite, command))
        .collect::<Result<Vec<_>>>()?;
    let size = archives.iter().map(|a| a.size).max().unwrap_or(0);
    say(&format!("lab: {} MiB packed in {:.1} s", size >> 20, start.elapsed().as_secs_f64()));
    let start = Instant::now();
    let records = workspace_root().join("target/ktstr/lab");
    if records.exists() {
        std::fs::remove_dir_all(&records).with_context(|| format!("failed to clear {}", records.display()))?;
    }
    let vmlinux = kernel.vmlinux();
    let ends: Vec<Result<Option<i32>>> = std::thread::scope(|scope| {
        let lanes: Vec<_> = archives
            .iter()
            .enumerate()
            .map(|(lane, archive)| {
                let (vmlinux, records) = (&vmlinux, &records);
                scope.spawn(move || outer::run(vmlinux, archive, records, options, lane > 0))
            })
            .collect();
        lanes.into_iter().map(|l| l.join().unwrap_or_else(|_| bail!("a lane's thread panicked"))).collect()
    });
    say(&format!("lab: {} outer machines ran for {:.1} s", ends.len(), start.elapsed().as_secs_f64()));
    say(&format!("lab: records are in {}", records.join("records").display()));
    for (command, end) in commands.iter().zip(ends) {
        match end? {
            Some(0) => {}
            Some(code) => bail!("`{}` ended with exit code {code} in the lab", command.join(" ")),
            None => bail!("an outer machine ended without saying how `{}` did: see its console", command.join(" ")),
        }
    }
    Ok(())
}

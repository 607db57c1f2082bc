//! `cargo xtask lab`: a machine with a true /dev/kvm on any machine, by nesting: QEMU translates an AMD host with SVM, that
//! host's kernel loads KVM, and the project's VM tests run inside it on real KVM semantics.

mod guest;
mod outer;
mod payload;

use crate::demo::{self, DEFAULT_KERNEL, DEMO_SCHEDULER};
use crate::setup::run_setup;
use crate::step::say;
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

/// Options of the lab.
#[derive(Args, Debug)]
pub struct Lab {
    /// CPUs of the outer machine
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// Memory of the outer machine in MiB
    #[arg(long, default_value_t = 6144)]
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
    let command = if options.command.is_empty() { suite.command() } else { options.command.clone() };
    let archive = payload::pack(&kernel, &modules, &scheduler, &suite, &command)?;
    say(&format!("lab: {} MiB packed in {:.1} s", archive.size >> 20, start.elapsed().as_secs_f64()));
    let start = Instant::now();
    let end = outer::run(&kernel.vmlinux(), &archive, options)?;
    say(&format!("lab: the outer machine ran for {:.1} s", start.elapsed().as_secs_f64()));
    match end {
        Some(0) => Ok(()),
        Some(code) => bail!("`{}` ended with exit code {code} in the lab", command.join(" ")),
        None => bail!("the outer machine ended without saying how `{}` did: its console is above", command.join(" ")),
    }
}

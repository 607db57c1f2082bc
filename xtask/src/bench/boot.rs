//! A whole test, hello to bye, against QEMU alone with the same kernel and an init that powers off.

use super::{kvm, median, seconds, virtme};
use crate::demo::{self, DEFAULT_KERNEL};
use crate::step::{self, cargo, workspace_root};
use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use ktstr_vmm::initramfs::cpio;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pairs of runs, one of each kind in turn, so that a slow spell of the host hits both.
const PAIRS: usize = 11;
/// Pairs with virtme-ng, which takes many times as long. Its first run also compiles its Python: the median is another.
const VIRTME_PAIRS: usize = 3;
/// Times of QEMU alone that a test may take.
const LIMIT: f64 = 1.3;
/// The kernel's words of both, but for the channel's.
pub const CMDLINE: &str = "console=ttyS0 panic=-1 oops=panic reboot=t tsc=reliable no_timer_check i8042.noaux i8042.nokbd \
                       random.trust_cpu=on cryptomgr.notests=1 quiet";

/// What to measure, and how often.
#[derive(Args, Debug)]
pub struct Boot {
    /// Only under this accelerator: tcg here, kvm in the lab
    #[arg(long)]
    accel: Option<Under>,
    /// Runs of each monitor on KVM
    #[arg(long, default_value_t = kvm::RUNS)]
    runs: usize,
}

/// Where the machines run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Under {
    /// On this machine
    Tcg,
    /// In the lab
    Kvm,
}

/// Measures on 2 CPUs and 512 MiB: under TCG here, and on KVM in the lab.
pub fn run(options: &Boot) -> Result<()> {
    step::run(&mut cargo(&["build", "--quiet", "--locked", "--package", "fault-tests", "--bins"]))?;
    let dir = tempfile::tempdir()?;
    if options.accel != Some(Under::Kvm) {
        under_tcg(dir.path())?;
    }
    if options.accel != Some(Under::Tcg) {
        kvm::run(&trivial_initrd(dir.path())?, options.runs)?;
    }
    Ok(())
}

fn under_tcg(dir: &Path) -> Result<()> {
    let kernel = demo::fetch_kernel(DEFAULT_KERNEL)?.dir().to_owned();
    let initrd = trivial_initrd(dir)?;
    let fixture = workspace_root().join("target/debug/fixture");
    let ours = || {
        let mut command = Command::new(&fixture);
        command.args(["--exact", "ktstr/says_hello", "--nocapture"]).env("NEXTEST", "1");
        command.env("KTSTR_ACCEL", "tcg").env("KTSTR_KERNEL", &kernel).env("KTSTR_SIDECAR_DIR", dir);
        seconds(&mut command)
    };
    let alone = || seconds(&mut qemu(&kernel.join("vmlinux"), &initrd));
    virtme::prepare()?;
    ours().context("the first test also fills the cache")?;
    let (mut ours_s, mut alone_s) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        ours_s.push(ours()?);
        alone_s.push(alone()?);
    }
    let (ours_s, alone_s) = (median(ours_s), median(alone_s));
    let ratio = ours_s / alone_s;
    println!(
        "boot: test, exec to exit {ours_s:.2} s, QEMU alone {alone_s:.2} s, medians of {PAIRS}, ratio {ratio:.2} (limit {LIMIT})"
    );
    ensure!(ratio <= LIMIT, "a test takes {ratio:.2} times as long as QEMU alone");
    let (mut ours_s, mut virtme_s) = (Vec::new(), Vec::new());
    for _ in 0..VIRTME_PAIRS {
        ours_s.push(ours()?);
        match virtme::run(&kernel, virtme::Under::Tcg)? {
            virtme::End::Exited(figures) => virtme_s.push(figures.wall_s),
            virtme::End::Unfinished(why) => bail!("{}: {why}", virtme::NAME),
        }
    }
    virtme::hold_the_promise("tcg", median(ours_s), median(virtme_s))
}

fn trivial_initrd(dir: &Path) -> Result<PathBuf> {
    let init = dir.join("init");
    let source = workspace_root().join("xtask/src/bench/trivial_init.c");
    step::run(Command::new("cc").args(["-nostdlib", "-static", "-O1", "-o"]).arg(&init).arg(source))?;
    let mut writer = cpio::Writer::new();
    writer.file("init", 0o755, &std::fs::read(&init)?);
    let archive = dir.join("initrd");
    std::fs::write(&archive, writer.finish())?;
    Ok(archive)
}

fn qemu(kernel: &Path, initrd: &Path) -> Command {
    let mut command = Command::new(ktstr_vmm::QEMU_PROGRAM);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"]);
    command.args(["-accel", "tcg,thread=single", "-cpu", "max,vendor=GenuineIntel"]);
    command.args(["-smp", "2,sockets=1,dies=1,cores=2,threads=1", "-m", "512M"]);
    command.args(["-chardev", "null,id=console", "-serial", "chardev:console"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd).args(["-append", CMDLINE]);
    command
}

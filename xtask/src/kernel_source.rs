//! `cargo xtask kernel-source`: `cargo ktstr kernel build` on a real source tree, and the result in a machine.
//!
//! Not part of CI: a source package is 130 MB and more, and even this small configuration compiles for minutes.

use crate::step::{cargo, run, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a tiny kernel lacks for a machine of the harness, which mounts proc, sysfs, devtmpfs, tmpfs and cgroup2 and talks over a
/// serial port; and what it need not have.
const FRAGMENT: &str = include_str!("kernel_source.config");
/// What it lacks for schedulers: BPF, and types that come from debugging information, which makes the build several times as long.
const SCHED_EXT: &str = include_str!("kernel_source_sched_ext.config");

/// Where the tree comes from.
#[derive(clap::Args)]
pub struct KernelSource {
    /// A tree that is here; without one the newest linux-source package of this machine's apt is unpacked below target
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Without sched_ext, in a fraction of the time
    #[arg(long)]
    without_sched_ext: bool,
}

/// Builds the tree with a tiny configuration, boots it, asks it for its release, and runs a test on it.
pub fn kernel_source(options: &KernelSource) -> Result<()> {
    let dir = workspace_root().join("target/kernel-source");
    std::fs::create_dir_all(&dir)?;
    let tree = match &options.tree {
        Some(tree) => tree.clone(),
        None => unpacked(&dir)?,
    };
    let fragment = dir.join("tiny.config");
    let sched_ext = if options.without_sched_ext { "" } else { SCHED_EXT };
    std::fs::write(&fragment, format!("{FRAGMENT}{sched_ext}"))?;
    if !tree.join(".config").exists() {
        run(Command::new("make").arg("-C").arg(&tree).arg("tinyconfig"))?;
    }
    let mut build =
        cargo(&["run", "--quiet", "--locked", "--package", "cargo-ktstr", "--", "ktstr", "kernel", "build"]);
    build.arg("--source").arg(&tree).arg("--config").arg(&fragment);
    let output = build.stderr(std::process::Stdio::inherit()).output().context("failed to start cargo")?;
    ensure!(output.status.success(), "the kernel was not built");
    let entry = String::from_utf8(output.stdout)?;
    let entry = entry.trim();
    say(&format!("built: {entry}"));
    let ktstr = |words: &[&str]| {
        let mut command = cargo(&["run", "--quiet", "--locked", "--package", "cargo-ktstr", "--", "ktstr"]);
        run(command.args(words))
    };
    ktstr(&["shell", "--exec", "uname -r; cat /sys/devices/system/cpu/online", "--kernel", entry])?;
    let test = |name: &str| ktstr(&["test", "--no-skip-mode", "--kernel", entry, "--", "-p", "first-test", "-E", name]);
    test("test(=ktstr/steady_eevdf)")?;
    if options.without_sched_ext {
        return Ok(());
    }
    // A published scheduler, which must be installed.
    test("test(=ktstr/steady_bpfland)")
}

/// The newest source package, unpacked once.
fn unpacked(dir: &Path) -> Result<PathBuf> {
    let listed = Command::new("apt-cache").args(["search", "--names-only", "^linux-source-[0-9.]+$"]).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names = listed.lines().filter_map(|l| l.split_whitespace().next());
    let version = |name: &str| ktstr_kernel::decompose_version_for_compare(name.trim_start_matches("linux-source-"));
    let name =
        names.max_by_key(|name| version(name)).context("apt knows no linux-source package; run `apt-get update`")?;
    let tree = dir.join(name);
    if tree.join("Makefile").exists() {
        return Ok(tree);
    }
    run(Command::new("apt-get").args(["download", name]).current_dir(dir))?;
    let package = std::fs::read_dir(dir)?.flatten().map(|e| e.path());
    let package = package
        .filter(|p| p.extension().is_some_and(|e| e == "deb"))
        .find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&format!("{name}_"))))
        .context("apt-get download left no package")?;
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(dir.join("unpacked")))?;
    run(Command::new("tar").arg("-xf").arg(dir.join(format!("unpacked/usr/src/{name}.tar.xz"))).arg("-C").arg(dir))?;
    Ok(tree)
}

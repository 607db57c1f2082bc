//! What the other verbs need on this machine: says what is missing, then installs it.

use crate::step::{run, say};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// A program or file that must be there, and the Debian package that brings it.
struct Need {
    probe: Probe,
    package: &'static str,
    why: &'static str,
}

enum Probe {
    Program(&'static str),
    File(&'static str),
}

const NEEDS: &[Need] = &[
    need(Probe::Program("qemu-system-x86_64"), "qemu-system-x86", "boots the test machines (TCG)"),
    need(Probe::Program("gpgv"), "gpgv", "checks the signature of the package lists"),
    need(Probe::File("/usr/share/distro-info/debian.csv"), "distro-info-data", "order of the releases"),
    need(
        Probe::File("/usr/share/keyrings/debian-archive-keyring.gpg"),
        "debian-archive-keyring",
        "keys of the archive",
    ),
    need(Probe::Program("xz"), "xz-utils", "package lists are compressed with it"),
    need(Probe::Program("cc"), "gcc", "builds C parts of the dependencies"),
    need(Probe::Program("make"), "make", "builds libbpf for schedulers"),
    need(Probe::Program("iasl"), "acpica-tools", "reads the ACPI tables of the KVM machine back"),
    need(Probe::Program("setpriv"), "util-linux", "ties the lab's outer machine to its starter"),
    need(Probe::Program("pkg-config"), "pkg-config", "finds libraries for published schedulers"),
    need(Probe::Program("clang-19"), "clang-19", "compiles the BPF part of schedulers"),
    need(Probe::File("/usr/include/libelf.h"), "libelf-dev", "schedulers link it"),
    need(Probe::File("/usr/include/zlib.h"), "zlib1g-dev", "schedulers link it"),
    need(Probe::File("/usr/include/seccomp.h"), "libseccomp-dev", "published schedulers link it"),
    need(Probe::Program("stress-ng"), "stress-ng", "a payload of the tests"),
    need(Probe::Program("hackbench"), "rt-tests", "a payload of the tests"),
];

/// What virtme-ng needs, which only the bench measures.
const VIRTME_NEEDS: &[Need] = &[
    need(Probe::File("/usr/bin/python3"), "python3", "virtme-ng is written in it"),
    need(Probe::File("/usr/lib/python3/dist-packages/pip"), "python3-pip", "installs virtme-ng"),
    need(Probe::File("/usr/share/doc/busybox-static"), "busybox-static", "virtme-ng's initramfs is made of it"),
    need(Probe::File("/usr/sbin/depmod"), "kmod", "virtme-ng finds modules with it"),
    need(Probe::File("/usr/bin/file"), "file", "virtme-ng reads a kernel's version with it"),
    need(Probe::File("/usr/lib/systemd/systemd-udevd"), "udev", "names the ports of virtme-ng's guests"),
];

/// What looking into a stopped machine needs.
const GDB_NEEDS: &[Need] = &[need(Probe::Program("gdb"), "gdb", "looks into a simulated machine that has stopped")];

/// What asking scipy needs.
const PYTHON_NEEDS: &[Need] = &[
    need(Probe::Program("python3"), "python3", "runs scipy"),
    need(Probe::File("/usr/share/doc/python3-venv"), "python3-venv", "an environment of its own for scipy"),
];

/// What looking at the report needs.
const BROWSER_NEEDS: &[Need] = &[
    need(Probe::Program("chromium"), "chromium", "opens the report as a person would"),
    need(Probe::File("/usr/share/doc/fonts-dejavu-core"), "fonts-dejavu-core", "letters for the screenshots"),
];

/// What building Perfetto's trace processor needs.
const PROCESSOR_NEEDS: &[Need] = &[
    need(Probe::Program("python3"), "python3", "writes a part of the trace processor"),
    need(Probe::Program("gn"), "generate-ninja", "reads how the trace processor is built"),
    need(Probe::Program("ninja"), "ninja-build", "builds it"),
    need(Probe::Program("clang++-19"), "clang-19", "compiles it"),
    need(Probe::Program("protoc"), "protobuf-compiler", "compiles its messages"),
    need(Probe::File("/usr/include/google/protobuf/message.h"), "libprotobuf-dev", "it links it"),
    need(Probe::File("/usr/include/google/protobuf/compiler/plugin.h"), "libprotoc-dev", "its own compilers link it"),
];

const fn need(probe: Probe, package: &'static str, why: &'static str) -> Need {
    Need { probe, package, why }
}

/// Installs what is missing and leaves a complete machine untouched.
pub fn run_setup() -> Result<()> {
    install(NEEDS)?;
    let nextest = Command::new("cargo")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("failed to run cargo")?;
    if !nextest.success() {
        say("cargo-nextest is missing and will be built");
        run(Command::new("cargo").args(["install", "--locked", "cargo-nextest"]))?;
    }
    Ok(())
}

/// Installs what the bench needs for virtme-ng.
pub fn run_virtme_setup() -> Result<()> {
    install(VIRTME_NEEDS)
}

/// Installs what asking scipy needs.
pub fn run_python_setup() -> Result<()> {
    install(PYTHON_NEEDS)
}

/// Installs what looking into a stopped machine needs.
pub fn run_gdb_setup() -> Result<()> {
    install(GDB_NEEDS)
}

/// Installs the browser that the report is looked at in.
pub fn run_browser_setup() -> Result<()> {
    install(BROWSER_NEEDS)
}

/// Installs what building Perfetto's trace processor needs.
pub fn run_processor_setup() -> Result<()> {
    install(PROCESSOR_NEEDS)
}

fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|n| !n.probe.present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say("these packages are missing and will be installed:");
    for need in &missing {
        eprintln!("    {:<24} {}", need.package, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|n| n.package).collect();
    run(as_root("apt-get").args(["-q", "update"])).context("failed to refresh apt's lists")?;
    let mut install = as_root("apt-get");
    install.args(["-q", "install", "-y", "--no-install-recommends"]).args(&packages);
    run(&mut install).with_context(|| format!("failed to install {}", packages.join(" ")))?;
    if let Some(still) = missing.iter().find(|n| !n.probe.present()) {
        bail!("`{}` is installed and still not found: is it on PATH?", still.package);
    }
    Ok(())
}

impl Probe {
    fn present(&self) -> bool {
        match self {
            Self::File(path) => Path::new(path).exists(),
            Self::Program(name) => std::env::var_os("PATH")
                .is_some_and(|dirs| std::env::split_paths(&dirs).any(|d| d.join(name).is_file())),
        }
    }
}

fn as_root(program: &str) -> Command {
    let mut command = if is_root() {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg(program);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

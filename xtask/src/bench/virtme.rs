//! virtme-ng beside the others: what many people boot a kernel with today, and what it takes to do so in the lab.
//!
//! It has to mount a root from outside before its first program runs. Debian's cloud image lacks what that takes, so it gets the
//! distribution's generic image of the same version. The lab has no virtio-fs daemon, and then virtme-ng by itself takes QEMU's
//! `pc` with a root over 9p; its `microvm` wants that daemon. Nothing of it is switched off. Three things are in its favour:
//! `virtme-run`, the part of it that starts QEMU, is called without the front end before it, the root that it shares is the lab's
//! small one, and its modules are few.
//!
//! Under plain TCG, on this machine, it runs beside ours in turn. In the lab it has one turn, for it takes ten times as long as the
//! others; on a busy host that turn may be cut off, which is said.

use super::boot::CMDLINE;
use super::kvm::{Figures, counters, peak, to_f64};
use crate::demo::{self, DEFAULT_KERNEL};
use crate::setup::run_virtme_setup;
use crate::step::{self, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use ktstr_kernel::Console;
use ktstr_kernel::cache::CacheEntry;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Its release: another one is another contender.
const VERSION: &str = "1.42";
/// The distribution's own Python, whose library is packed with it.
const PYTHON: &str = "/usr/bin/python3";
const BUSYBOX: &str = "/usr/bin/busybox";
/// Programs and files that it looks for: its tools for modules, file types and the initramfs, and udev, which names the ports
/// that the exit code of its command comes back by.
const NEEDED: [&str; 9] = [
    PYTHON,
    BUSYBOX,
    "/usr/sbin/modprobe",
    "/usr/bin/file",
    "/usr/share/misc/magic.mgc",
    "/usr/bin/udevadm",
    "/usr/lib/systemd/systemd-udevd",
    "/etc/passwd",
    "/etc/group",
];
const UDEV_RULES: &str = "/usr/lib/udev/rules.d";
/// Parts of Python's library that no program of ours loads. Byte code is made by the first run, as the times of files differ.
const LEFT_OUT: [&str; 7] = ["test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "__pycache__"];
/// Directories of modules that it can use here.
const MODULES: [&str; 5] = ["fs/9p", "fs/netfs", "fs/overlayfs", "net/9p", "drivers/virtio"];
/// How often its end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Looks between two readings of KVM's counters: under emulation a reading takes time from the machine.
const LOOKS_PER_SAMPLE: u32 = 10;
/// What a machine may take; on a quiet host it needs 8 s under TCG and 34 s in the lab.
const PATIENCE: Duration = Duration::from_secs(300);
/// Ports instead of memory for the registers of its virtio devices: now and then the translated SVM says that a write to memory
/// of a device came in the middle of an interrupt, KVM cannot go on, and QEMU stops. Ports are also the quicker exits.
const PORTS: [&str; 2] = ["--qemu-opt=-global", "--qemu-opt=virtio-pci.disable-modern=on"];
/// What QEMU says when it came to that all the same.
const STOPPED: &str = "KVM internal error";

/// Who executes its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// The lab's KVM.
    Kvm,
    /// QEMU's translator, on this machine.
    Tcg,
}

/// What became of a machine.
pub enum End {
    /// Its command ran, and virtme-ng has handed back the exit code.
    Exited(Figures),
    /// It has not come so far, and why.
    Unfinished(String),
}

/// Its name in tables.
pub const NAME: &str = "virtme-ng";
/// Part of its wall time that ours may take.
const LIMIT: f64 = 0.5;

/// Prints both times; an error when ours is more than its part of virtme-ng's.
pub fn hold_the_promise(accel: &str, ours_s: f64, virtme_s: f64) -> Result<()> {
    let ratio = ours_s / virtme_s;
    println!("boot, {accel}: ours {ours_s:.2} s, {NAME} {virtme_s:.2} s, ratio {ratio:.2} (limit {LIMIT})");
    ensure!(ratio <= LIMIT, "ours takes {ratio:.2} times {NAME}'s time");
    Ok(())
}

/// Installs it and its kernel on this machine; the answer is what the lab needs of both, at the same paths.
pub fn prepare() -> Result<Vec<PathBuf>> {
    run_virtme_setup()?;
    let mut files: Vec<PathBuf> = NEEDED.iter().map(PathBuf::from).collect();
    walk(&standard_library()?, &mut files)?;
    walk(Path::new(UDEV_RULES), &mut files)?;
    walk(&package()?, &mut files)?;
    walk(&kernel()?, &mut files)?;
    Ok(files)
}

fn home() -> PathBuf {
    workspace_root().join("target/ktstr/virtme")
}

fn site() -> PathBuf {
    home().join(format!("virtme-ng-{VERSION}"))
}

/// The package without what only its front end imports.
fn package() -> Result<PathBuf> {
    let site = site();
    if site.join("bin/virtme-run").exists() {
        return Ok(site);
    }
    say(&format!("virtme-ng {VERSION} is missing and will be installed below target/"));
    let mut pip = Command::new(PYTHON);
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--root-user-action", "ignore", "--target"]).arg(&site);
    step::run(pip.arg(format!("virtme-ng=={VERSION}")))
        .context("failed to install virtme-ng: is the package registry of Python in reach?")?;
    Ok(site)
}

fn standard_library() -> Result<PathBuf> {
    let output = Command::new(PYTHON)
        .args(["-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"])
        .output()
        .context("failed to ask Python where its library is")?;
    ensure!(output.status.success(), "Python does not say where its library is; it ended with {}", output.status);
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// `6.18.15+deb13-amd64` for `6.18.15+deb13-cloud-amd64`.
fn generic(release: &str) -> String {
    release.replace("-cloud-", "-")
}

fn kernel_dir(release: &str) -> PathBuf {
    home().join(format!("linux-{release}"))
}

/// Image and modules of the twin of the kernel that the others boot, indexed for modprobe.
fn kernel() -> Result<PathBuf> {
    let release = generic(&demo::fetch_kernel(DEFAULT_KERNEL)?.metadata().release);
    let dir = kernel_dir(&release);
    let modules = dir.join("usr/lib/modules").join(&release);
    if !dir.exists() {
        let name = format!("linux-image-{release}");
        ktstr_kernel::fetch::unpack(&name, &dir, is_wanted, &Console::new())
            .with_context(|| format!("failed to get {name} for virtme-ng"))?;
    }
    if !modules.join("modules.dep.bin").exists() {
        step::run(Command::new("/usr/sbin/depmod").arg("-b").arg(dir.join("usr")).arg(&release))?;
    }
    Ok(dir)
}

fn is_wanted(path: &str) -> bool {
    let module = || {
        let (_, inside) = path.split_once("lib/modules/")?;
        let (_, inside) = inside.split_once('/')?;
        let Some(inside) = inside.strip_prefix("kernel/") else {
            return Some(inside.starts_with("modules."));
        };
        Some(MODULES.iter().any(|m| inside.strip_prefix(m).is_some_and(|rest| rest.starts_with('/'))))
    };
    path.starts_with("boot/vmlinuz-") || module().unwrap_or(false)
}

/// Every file below `dir`.
fn walk(dir: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("failed to read {}", dir.display()))?.flatten() {
        let path = entry.path();
        if path.is_file() {
            out.push(path);
        } else if path.is_dir() && !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            walk(&path, out)?;
        }
    }
    Ok(())
}

/// From exec to exit of a machine whose command is `true`.
///
/// QEMU and its counters are gone with it, so they are those last seen: up to a fifth of a second before its end, a little in
/// its favour.
pub fn run(kernel: &Path, under: Under) -> Result<End> {
    let release = generic(&CacheEntry::read(kernel)?.metadata().release);
    let log = std::env::temp_dir().join("virtme.log");
    let output = File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
    let mut command = Command::new(PYTHON);
    command.arg(site().join("bin/virtme-run")).env("PYTHONPATH", site());
    command.arg("--kimg").arg(kernel_dir(&release).join(format!("boot/vmlinuz-{release}")));
    command.args(["--mods", "auto", "--cpus", "2", "--memory", "512M", "--busybox", BUSYBOX, "--script-sh", "true"]);
    let words: &[&str] = match under {
        Under::Kvm => {
            command.args(PORTS);
            &["noxsave"]
        }
        Under::Tcg => {
            command.args(["--disable-kvm", "--force-9p"]);
            &[]
        }
    };
    for word in CMDLINE.split_whitespace().chain(words.iter().copied()) {
        command.args(["--kopt", word]);
    }
    command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let start = Instant::now();
    let mut child = command.spawn().context("failed to start virtme-run")?;
    let (mut by_reason, mut peak_kib, mut looks) = (BTreeMap::new(), 0.0, 0);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if under == Under::Kvm
            && looks % LOOKS_PER_SAMPLE == 0
            && let Some(qemu) = machine()
        {
            by_reason = counters(qemu).ok().filter(|seen| !seen.is_empty()).unwrap_or(by_reason);
            peak_kib = peak(qemu).unwrap_or(peak_kib);
            if said(&log).contains(STOPPED) {
                step::run(Command::new("kill").args(["-KILL", &qemu.to_string()]))?;
                child.wait()?;
                return Ok(End::Unfinished("the lab's KVM stopped it (KVM_EXIT_INTERNAL_ERROR)".into()));
            }
        }
        if start.elapsed() > PATIENCE {
            // Its QEMU dies with it: both are in one group of processes.
            let group = format!("-{}", child.id());
            step::run(Command::new("kill").args(["-KILL", "--", &group]))?;
            child.wait()?;
            return Ok(End::Unfinished(format!("not at its end after {} s", PATIENCE.as_secs())));
        }
        looks += 1;
        std::thread::sleep(LOOK_EVERY);
    };
    let wall_s = start.elapsed().as_secs_f64();
    ensure!(status.success(), "virtme-run ended with {status}; it said: {}", said(&log));
    let count = |name: &str| to_f64(by_reason.get(name).copied().unwrap_or(0));
    let (user_exits, exits) = (count("io_exits") + count("mmio_exits"), count("exits"));
    ensure!(under == Under::Tcg || exits > 0.0, "virtme-ng's machine did not run on KVM; it said: {}", said(&log));
    Ok(End::Exited(Figures { wall_s, user_exits, exits, peak_kib, phases_us: BTreeMap::new(), by_reason }))
}

/// The process of the only machine that runs, by KVM's own list of `PID-FD`.
fn machine() -> Option<u32> {
    let machines = std::fs::read_dir("/sys/kernel/debug/kvm").ok()?.flatten();
    machines.into_iter().find_map(|m| m.file_name().to_string_lossy().split_once('-')?.0.parse().ok())
}

fn said(log: &Path) -> String {
    std::fs::read_to_string(log).map_or_else(|e| e.to_string(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_image_its_few_modules_and_their_lists_are_kept() {
        let modules = "usr/lib/modules/6.18.15+deb13-amd64";
        assert!(is_wanted("boot/vmlinuz-6.18.15+deb13-amd64"));
        assert!(is_wanted(&format!("{modules}/kernel/fs/9p/9p.ko.xz")));
        assert!(is_wanted(&format!("{modules}/modules.builtin")));
        assert!(!is_wanted(&format!("{modules}/kernel/fs/9px/x.ko.xz")));
        assert!(!is_wanted("boot/System.map-6.18.15+deb13-amd64"));
        assert_eq!(generic("6.18.15+deb13-cloud-amd64"), "6.18.15+deb13-amd64");
    }
}

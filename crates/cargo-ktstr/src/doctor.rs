//! `cargo ktstr doctor`: what this machine can do, and for each "no" the way to a yes.

use crate::paths::{host_cgroup, lock_dir};
use anyhow::Result;
use ktstr_kernel::cache::{Cache, CacheEntry};
use ktstr_kernel::scheduler_cache;
use ktstr_vmm::{Accel, QEMU_PACKAGE, QEMU_PROGRAM, choose_accel};
use rustix::fs::{Access, access};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What this machine can run.
#[derive(clap::Args, Debug)]
#[command(after_help = "Exit codes: 0 tests can run here, 1 they cannot.")]
pub struct Doctor {
    /// For machines
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    /// Tests cannot run without it.
    needed: bool,
    /// What is there, or what is missing and how to get it.
    found: Result<String, Fix>,
}

/// What is missing, and the way to it.
struct Fix {
    missing: String,
    way: String,
}

fn missing(what: impl Into<String>, way: impl Into<String>) -> Result<String, Fix> {
    Err(Fix { missing: what.into(), way: way.into() })
}

/// Looks at everything and says it.
pub fn run(doctor: &Doctor) -> Result<ExitCode> {
    let findings = examine();
    for f in &findings {
        if doctor.json {
            let (found, fix) = match &f.found {
                Ok(found) => (found, None),
                Err(fix) => (&fix.missing, Some(&fix.way)),
            };
            println!(
                "{}",
                json!({"what": f.what, "ok": f.found.is_ok(), "needed": f.needed, "found": found, "fix": fix})
            );
        } else {
            print!("{}", line(f));
        }
    }
    let lame: Vec<&str> = findings.iter().filter(|f| f.needed && f.found.is_err()).map(|f| f.what).collect();
    if lame.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tests cannot run here yet: {}", lame.join(", "));
    Ok(ExitCode::FAILURE)
}

fn line(f: &Finding) -> String {
    let (mark, text) = match &f.found {
        Ok(found) => ("yes", found),
        Err(Fix { missing, .. }) => (if f.needed { "NO " } else { "no " }, missing),
    };
    let mut out = broken(&format!("{mark}  {:<22} ", f.what), "", text);
    if let Err(Fix { way, .. }) = &f.found {
        out.push_str(&broken(&" ".repeat(INDENT), "→ ", way));
    }
    out
}

/// Columns that a line has.
const WIDTH: usize = 80;
/// Columns before what was found.
const INDENT: usize = 28;

/// `head`, then `text` broken between words.
fn broken(head: &str, sign: &str, text: &str) -> String {
    let mut out = format!("{head}{sign}");
    let hanging = INDENT + sign.chars().count();
    let mut column = hanging;
    for (at, word) in text.split_ascii_whitespace().enumerate() {
        let width = word.chars().count();
        if at > 0 && column + 1 + width > WIDTH {
            out.push_str(&format!("\n{}", " ".repeat(hanging)));
            column = hanging;
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
    out
}

fn examine() -> Vec<Finding> {
    let accel = accelerator();
    let kvm = matches!(&accel, Ok((Accel::Kvm, _)));
    let finding = |what, needed, found| Finding { what, needed, found };
    vec![
        finding("accelerator", true, accel.map(|(accel, why)| format!("{accel} ({why})"))),
        finding("kvm", false, if kvm { Ok("a probe guest ran".into()) } else { kvm_missing() }),
        finding("qemu", !kvm, program(QEMU_PROGRAM, QEMU_PACKAGE)),
        finding("cargo-nextest", true, nextest()),
        finding("kernels", true, kernels()),
        finding("kernel packages", false, package_tools()),
        finding("schedulers", false, schedulers()),
        finding("scheduler toolchain", false, toolchain()),
        finding("cache", true, cache()),
        finding("CPU reservations", false, locks()),
        finding("host cgroups", false, cgroups()),
        finding("host sched_ext", false, host_sched_ext()),
        finding(
            "host BTF",
            false,
            present("/sys/kernel/btf/vmlinux", "boot a kernel with CONFIG_DEBUG_INFO_BTF=y; only .run files need it"),
        ),
        finding("root", false, root()),
    ]
}

fn accelerator() -> Result<(Accel, String), Fix> {
    match choose_accel(None) {
        Ok(choice) => Ok((choice.accel, choice.why)),
        Err(e) => Err(Fix { missing: format!("{e:#}"), way: "unset KTSTR_ACCEL".into() }),
    }
}

fn kvm_missing() -> Result<String, Fix> {
    let device = Path::new("/dev/kvm");
    if !device.exists() {
        return missing(
            "/dev/kvm is not there",
            "switch virtualisation on in the firmware, or in the hypervisor around this machine; tcg does without",
        );
    }
    if access(device, Access::READ_OK | Access::WRITE_OK).is_err() {
        return missing(
            "/dev/kvm may not be opened",
            "add yourself to its group: `usermod -aG kvm $USER`, then log in again",
        );
    }
    missing("no guest runs on it", "the line above says why; tcg does without")
}

fn on_path(name: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir| dir.join(name)).find(|p| p.is_file())
}

fn program(name: &str, package: &str) -> Result<String, Fix> {
    match on_path(name) {
        Some(path) => Ok(path.display().to_string()),
        None => missing(format!("{name} is not installed"), format!("apt-get install {package}")),
    }
}

fn present(path: &str, way: &str) -> Result<String, Fix> {
    if Path::new(path).exists() { Ok(path.to_owned()) } else { missing(format!("{path} is not there"), way) }
}

fn nextest() -> Result<String, Fix> {
    let output = Command::new("cargo").args(["nextest", "--version"]).stdin(Stdio::null()).output();
    match output {
        Ok(o) if o.status.success() => {
            Ok(String::from_utf8_lossy(&o.stdout).lines().next().unwrap_or_default().to_owned())
        }
        _ => missing("cargo-nextest is not installed", "cargo install cargo-nextest --locked"),
    }
}

fn kernels() -> Result<String, Fix> {
    let entries = Cache::open().and_then(|c| c.entries()).unwrap_or_default();
    let usable: Vec<&str> =
        entries.iter().map(CacheEntry::metadata).filter(|m| m.sched_ext).map(|m| m.version.as_str()).collect();
    if usable.is_empty() {
        return missing("none with sched_ext is cached", "cargo ktstr kernel fetch");
    }
    Ok(usable.join(", "))
}

fn package_tools() -> Result<String, Fix> {
    let needs = [("gpgv", "gpgv"), ("apt-get", "apt")];
    let lacking: Vec<&str> = needs.iter().filter(|(name, _)| on_path(name).is_none()).map(|(_, p)| *p).collect();
    if let [first, ..] = lacking[..] {
        return missing(format!("{first} is not installed"), format!("apt-get install {}", lacking.join(" ")));
    }
    Ok("gpgv and apt".into())
}

fn schedulers() -> Result<String, Fix> {
    let installed = scheduler_cache::installed();
    if installed.is_empty() {
        return missing("none is installed", "cargo ktstr scheduler install scx_bpfland");
    }
    Ok(installed.iter().map(|s| format!("{} {}", s.name, s.version)).collect::<Vec<_>>().join(", "))
}

fn toolchain() -> Result<String, Fix> {
    let headers = [
        ("/usr/include/libelf.h", "libelf-dev"),
        ("/usr/include/zlib.h", "zlib1g-dev"),
        ("/usr/include/seccomp.h", "libseccomp-dev"),
    ];
    let mut lacking: Vec<&str> =
        headers.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, p)| *p).collect();
    if on_path("clang-19").is_none() && on_path("clang").is_none() {
        lacking.insert(0, "clang-19");
    }
    if lacking.is_empty() {
        return Ok("clang, libelf, zlib and seccomp".into());
    }
    missing(format!("lacks {}", lacking.join(", ")), format!("apt-get install {}", lacking.join(" ")))
}

fn cache() -> Result<String, Fix> {
    let dir = match Cache::open() {
        Ok(cache) => cache.dir().to_owned(),
        Err(e) => return missing(e.to_string(), "set KTSTR_CACHE_DIR"),
    };
    let there = dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    if access(there, Access::WRITE_OK).is_err() {
        return missing(
            format!("{} may not be written", there.display()),
            "set KTSTR_CACHE_DIR to a directory of yours",
        );
    }
    /// A kernel with its modules and a few initramfs layers.
    const ENOUGH: u64 = 2 << 30;
    let free = rustix::fs::statvfs(there).map_or(0, |s| s.f_bavail * s.f_frsize);
    if free < ENOUGH {
        return missing(
            format!("{} MiB are free for {}", free >> 20, dir.display()),
            "free 2 GiB, or set KTSTR_CACHE_DIR to another disk",
        );
    }
    Ok(format!("{}, {} GiB free", dir.display(), free >> 30))
}

/// Filesystems whose locks do not hold across machines, or not at all (statfs(2)).
const NETWORK: [(i64, &str); 4] = [(0x6969, "nfs"), (0xFF53_4D42, "cifs"), (0xFE53_4D42, "smb2"), (0x0102_1997, "9p")];

fn locks() -> Result<String, Fix> {
    let dir = lock_dir();
    let there = dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    let kind = rustix::fs::statfs(there).map_or(0, |s| s.f_type);
    if let Some((_, name)) = NETWORK.iter().find(|(magic, _)| *magic == kind) {
        return missing(
            format!("{} is on {name}, where locks do not hold", dir.display()),
            "set KTSTR_LOCK_DIR to a local directory",
        );
    }
    if access(there, Access::WRITE_OK).is_err() {
        return missing(
            format!("{} may not be written", there.display()),
            "set KTSTR_LOCK_DIR to a directory of yours",
        );
    }
    Ok(dir.display().to_string())
}

fn cgroups() -> Result<String, Fix> {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return missing(
            "cgroup2 is not mounted at /sys/fs/cgroup",
            "boot with systemd.unified_cgroup_hierarchy=1; only host_only tests need it",
        );
    }
    let wanted = host_cgroup();
    let there = wanted.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/sys/fs/cgroup"));
    if access(there, Access::WRITE_OK).is_err() {
        return missing(
            format!("{} may not be written", there.display()),
            "run under `systemd-run --user --scope -p Delegate=yes`, and set KTSTR_HOST_CGROUP_PARENT below that scope",
        );
    }
    Ok(wanted.display().to_string())
}

fn host_sched_ext() -> Result<String, Fix> {
    match std::fs::read_to_string("/sys/kernel/sched_ext/state") {
        Ok(state) => Ok(format!("state {}", state.trim_end())),
        Err(_) => {
            missing("this host's kernel has none", "boot one with CONFIG_SCHED_CLASS_EXT=y; only .run files need it")
        }
    }
}

fn root() -> Result<String, Fix> {
    if rustix::process::geteuid().is_root() {
        return Ok("for .run files and host_only tests".into());
    }
    missing("not root", "only .run files and host_only tests with cgroups need it: use sudo for those")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_no_comes_with_its_fix() {
        for finding in examine() {
            if let Err(fix) = &finding.found {
                assert!(!fix.missing.is_empty() && !fix.way.is_empty(), "{}", finding.what);
            }
        }
        let text = line(&Finding { what: "qemu", needed: true, found: program("no-such-program", "pkg") });
        assert!(text.contains("NO   qemu") && text.contains("→ apt-get install pkg"), "{text}");
    }
}

//! File systems of the guest.

use crate::grace::Hurry;
use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::path::Path;

struct Mount {
    what: &'static str,
    at: &'static str,
    needed: bool,
}

const fn needed(what: &'static str, at: &'static str) -> Mount {
    Mount { what, at, needed: true }
}

const fn optional(what: &'static str, at: &'static str) -> Mount {
    Mount { what, at, needed: false }
}

/// The kernel's own, through which it is told things.
const FIRST: &[Mount] = &[needed("proc", "/proc"), needed("sysfs", "/sys")];

const THEN: &[Mount] = &[
    needed("devtmpfs", "/dev"),
    optional("devpts", "/dev/pts"),
    needed("tmpfs", "/tmp"),
    needed("tmpfs", "/run"),
    optional("tmpfs", "/dev/shm"),
    needed("cgroup2", "/sys/fs/cgroup"),
    optional("debugfs", "/sys/kernel/debug"),
    optional("tracefs", "/sys/kernel/tracing"),
    optional("bpf", "/sys/fs/bpf"),
];

/// Mounts everything, in a hurry that is the caller's to end.
pub fn mount_all() -> Result<Hurry> {
    mount_each(FIRST)?;
    let hurry = Hurry::begin();
    expect_no_modules();
    mount_each(THEN)?;
    Ok(hurry)
}

fn mount_each(mounts: &[Mount]) -> Result<()> {
    for m in mounts {
        // The file system above may not allow it (sysfs), and then it is there or the mount says so.
        let _ = fs::create_dir_all(m.at);
        match mount(m.what, m.at, m.what, MountFlags::empty(), None) {
            Ok(()) => {}
            // This kernel does not have it.
            Err(_) if !m.needed => {}
            Err(e) => {
                return Err(e).with_context(|| format!("failed to mount {} on {}", m.what, m.at));
            }
        }
    }
    Ok(())
}

/// Where there is no helper to load modules with, the kernel need not start a process to find that out: mounting a bpf file system
/// does (kernel/bpf/inode.c, `bpf_preload_mod_get`), and so does every algorithm that somebody asks for.
fn expect_no_modules() {
    const HELPER: &str = "/proc/sys/kernel/modprobe";
    let absent = |path: &str| !Path::new(path.trim()).exists();
    if fs::read_to_string(HELPER).is_ok_and(|path| absent(&path)) {
        // An empty path: no helper (Documentation/admin-guide/sysctl/kernel.rst).
        let _ = fs::write(HELPER, "\n");
    }
}

/// Host name and loopback, whose absence changes no verdict.
pub fn name_and_loopback() {
    let _ = rustix::system::sethostname(b"ktstr");
    let _ = loopback_up();
}

fn loopback_up() -> std::io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: `ifreq` is plain integers and arrays, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = libc::c_char::from_ne_bytes([*byte]);
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).unwrap_or(1);
    // SAFETY: SIOCSIFFLAGS reads one `ifreq` (netdevice(7)), which lives across the call.
    let result =
        unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&socket), libc::SIOCSIFFLAGS, &raw const request) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// The kernel's configuration, which libbpf reads for `kconfig` externs; without it every published scheduler fails.
pub fn check_kernel_config(release: &str) -> Result<()> {
    let path = format!("/boot/config-{release}");
    anyhow::ensure!(
        Path::new(&path).exists(),
        "{path} is missing in the guest: the kernel was found without its configuration; fetch it with `cargo ktstr kernel fetch`"
    );
    Ok(())
}

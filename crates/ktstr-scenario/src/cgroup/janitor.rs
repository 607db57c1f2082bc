//! Cleans up after a test on the host that was killed: in a machine of its own there is nothing left to clean.

use crate::children;
use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, unlinkat};
use rustix::process::{PidfdFlags, Signal, getpid, kill_process, pidfd_open};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Looks at the directory, a millisecond apart, until it is gone.
const LOOKS: u32 = 5000;
/// Depth of cgroups that a test can make.
const DEPTH: u32 = 16;

/// A process that waits for this one's end; dismissed when this one cleans up itself.
pub struct Janitor {
    pid: i32,
}

impl Janitor {
    /// Watches over a cgroup that this process has made, and over those above it that go with their last user.
    pub fn watch(path: &Path, above: &[PathBuf]) -> Result<Self> {
        let as_c = |path: &Path| CString::new(path.as_os_str().as_bytes()).context("a path with a NUL");
        let path = as_c(path)?;
        let above: Vec<CString> = above.iter().map(|path| as_c(path)).collect::<Result<_>>()?;
        let me = pidfd_open(getpid(), PidfdFlags::empty()).context("failed to open this process for the janitor")?;
        // SAFETY: the child only runs `janitor`, which makes plain system calls on memory made before the fork until it
        // leaves with `_exit`: nothing in it allocates, locks or returns.
        match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error()).context("failed to fork the janitor"),
            0 => janitor(&me, &path, &above),
            pid => {
                children::claim(pid);
                Ok(Self { pid })
            }
        }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        let Some(pid) = rustix::process::Pid::from_raw(self.pid) else { return };
        let _ = kill_process(pid, Signal::KILL);
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        children::release(self.pid);
    }
}

fn janitor(parent: &OwnedFd, path: &CStr, above: &[CString]) -> ! {
    // What is sent to the test's group or terminal is not meant for this process.
    let _ = rustix::process::setsid();
    // Readable once the process has ended (pidfd_open(2)).
    let mut ended = [PollFd::new(parent, PollFlags::IN)];
    while matches!(poll(&mut ended, None), Ok(0) | Err(rustix::io::Errno::INTR)) {}
    for _ in 0..LOOKS {
        kill_all(path);
        if remove(path) {
            // Of the first that somebody else still uses, all above are in use as well.
            let _ = above.iter().try_for_each(|dir| unlinkat(CWD, dir, AtFlags::REMOVEDIR));
            break;
        }
        let _ = rustix::thread::nanosleep(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
    }
    // SAFETY: `_exit` ends the process at once, without the parent's destructors.
    unsafe { libc::_exit(0) }
}

fn directory(at: impl std::os::fd::AsFd, path: &CStr) -> Option<OwnedFd> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()).ok()
}

fn kill_all(path: &CStr) {
    let Some(dir) = directory(CWD, path) else { return };
    if let Ok(file) = openat(&dir, c"cgroup.kill", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::io::write(&file, b"1");
    }
}

/// Whether nothing is left of it.
fn remove(path: &CStr) -> bool {
    if let Some(dir) = directory(CWD, path) {
        empty(&dir, 0);
    }
    matches!(unlinkat(CWD, path, AtFlags::REMOVEDIR), Ok(()) | Err(rustix::io::Errno::NOENT))
}

fn empty(dir: &OwnedFd, depth: u32) {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 2048];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        let inner = entry.file_type() == rustix::fs::FileType::Directory && name != c"." && name != c"..";
        if !inner || depth >= DEPTH {
            continue;
        }
        if let Some(below) = directory(dir, name) {
            empty(&below, depth + 1);
        }
        let _ = unlinkat(dir, name, AtFlags::REMOVEDIR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_directories_is_removed_from_its_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        std::fs::create_dir_all(root.join("outer/inner")).unwrap();
        std::fs::create_dir_all(root.join("side")).unwrap();
        assert!(remove(&CString::new(root.as_os_str().as_bytes()).unwrap()));
        assert!(!root.exists());
    }

    #[test]
    fn a_dismissed_janitor_touches_nothing_and_leaves_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let janitor = Janitor::watch(dir.path(), &[]).unwrap();
        let pid = janitor.pid;
        drop(janitor);
        assert!(dir.path().exists() && !Path::new(&format!("/proc/{pid}")).exists());
    }
}

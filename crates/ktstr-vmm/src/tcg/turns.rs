//! What a simulated machine's QEMU is loaded with, so that its main loop does not show in the guest: `preload/turns.rs`.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Write as _;

/// Built by `build.rs`.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/turns.so"));

/// Where the process inherits it.
pub const FD: i32 = 203;

/// What `LD_PRELOAD` is told: nothing lies on a disk.
pub fn path() -> String {
    format!("/proc/self/fd/{FD}")
}

/// The library, in memory.
pub fn library() -> Result<File> {
    let made = rustix::fs::memfd_create("ktstr-turns", rustix::fs::MemfdFlags::CLOEXEC);
    let mut file = File::from(made.context("failed to create what QEMU is loaded with")?);
    file.write_all(LIBRARY).context("failed to create what QEMU is loaded with: is memory short?")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;
    use std::path::Path;
    use std::process::{Command, Output};

    fn loaded(program: &Path) -> Output {
        let library = library().unwrap();
        let ours = format!("/proc/{}/fd/{}", std::process::id(), library.as_raw_fd());
        Command::new(program).env("LD_PRELOAD", ours).output().unwrap()
    }

    /// Some distributions' `qemu-system-x86_64` is one that starts the true one.
    #[test]
    fn a_script_around_qemu_is_left_alone() {
        let output = loaded(Path::new("/bin/true"));
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }

    #[test]
    fn a_qemu_that_hides_its_functions_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("qemu-system-other");
        std::fs::copy("/bin/true", &other).unwrap();
        let output = loaded(&other);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("a simulated run could not be repeated"),
            "{output:?}"
        );
    }
}

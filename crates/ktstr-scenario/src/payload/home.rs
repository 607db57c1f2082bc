//! Where a program is, and the cgroup it lives in.

use super::declare::Payload;
use anyhow::{Context as _, Result, anyhow, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the programs of payloads lie in a guest.
pub const PROGRAMS: &str = "/payload";
/// How long the kernel may take to empty a killed cgroup.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// The program of that name in the directories of PATH.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir| dir.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// The program to start: on the host itself by PATH, in a guest where it was packed.
pub fn locate(payload: &Payload, host_only: bool) -> Result<PathBuf> {
    let binary = Path::new(payload.binary);
    let name = binary.file_name().unwrap_or(binary.as_os_str());
    let packed = Path::new(PROGRAMS).join(name);
    if !host_only && is_executable(&packed) {
        return Ok(packed);
    }
    let found = if binary.is_absolute() {
        Some(binary.to_owned()).filter(|path| is_executable(path))
    } else {
        on_path(payload.binary).filter(|_| host_only)
    };
    found.ok_or_else(|| {
        let (name, binary) = (payload.name, payload.binary);
        match payload.package {
            Some(package) if host_only => {
                anyhow!("payload `{name}`: `{binary}` is not here: apt-get install {package}")
            }
            _ if host_only => {
                anyhow!("payload `{name}`: `{binary}` is not here: install it, or name its absolute path")
            }
            _ => anyhow!(
                "payload `{name}`: `{binary}` is not in the guest: name it in the test's `payload`, `workloads` or \
                 `extra_include_files`"
            ),
        }
    })
}

/// A cgroup for one program, removed with it, and so is the root above it; what was there already is only used.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    made: bool,
    made_root: Option<PathBuf>,
}

impl Home {
    /// Below the workload's root.
    pub fn make(root: &Path, name: &str) -> Result<Self> {
        let what = || format!("failed to create the cgroup {}/{name}: may this user write there?", root.display());
        let made_root = (!root.exists()).then(|| root.to_owned());
        fs::create_dir_all(root).with_context(what)?;
        let path = root.join(name);
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self { path, made: true, made_root }),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { path, made: false, made_root }),
            Err(e) => Err(e).with_context(what),
        }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::write(self.path.join("cgroup.kill"), "1");
            let start = Instant::now();
            while let Err(e) = fs::remove_dir(&self.path) {
                if e.kind() == std::io::ErrorKind::NotFound || start.elapsed() > EMPTY_WITHIN {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // It stays as long as others live in it.
        if let Some(root) = &self.made_root {
            let _ = fs::remove_dir(root);
        }
    }
}

/// Opens the file that takes processes into a cgroup.
pub fn procs_of(cgroup: &Path) -> Result<fs::File> {
    if !cgroup.is_dir() {
        bail!("{} is not a cgroup", cgroup.display());
    }
    let path = cgroup.join("cgroup.procs");
    fs::OpenOptions::new().write(true).open(&path).with_context(|| format!("failed to open {}", path.display()))
}

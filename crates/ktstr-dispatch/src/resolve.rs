//! From a declared scheduler to the file that will be packed into the guest.

use crate::env::Settings;
use ktstr_scenario::{Scheduler, SchedulerSpec};
use ktstr_verdict::HarnessFault;
use std::path::{Path, PathBuf};

/// A scheduler binary on the host, and how it was found (the record's `resolve_source`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedScheduler {
    /// The file.
    pub path: PathBuf,
    /// `KTSTR_SCHEDULER`, `path`, `target`, `cache` or `PATH`.
    pub source: &'static str,
}

/// Finds the binary; `None` for EEVDF.
///
/// # Errors
/// A [`HarnessFault`]: a scheduler that is not there was never tested, so no expectation may turn this into a pass.
pub fn resolve(scheduler: &Scheduler, settings: &Settings) -> anyhow::Result<Option<ResolvedScheduler>> {
    if scheduler.config_file.is_some() || scheduler.config_file_def.is_some() {
        return Err(fault(format!("scheduler `{}`: config files are not supported yet", scheduler.name)));
    }
    match scheduler.spec {
        SchedulerSpec::Eevdf => Ok(None),
        SchedulerSpec::KernelBuiltin { .. } => {
            Err(fault(format!("scheduler `{}`: kernel-builtin schedulers are not supported yet", scheduler.name)))
        }
        SchedulerSpec::Path(path) => {
            let path = PathBuf::from(path);
            if is_executable(&path) {
                Ok(Some(ResolvedScheduler { path, source: "path" }))
            } else {
                Err(fault(format!(
                    "scheduler `{}`: `{}` is not an executable file; build it, or correct `binary_path`",
                    scheduler.name,
                    path.display()
                )))
            }
        }
        SchedulerSpec::Discover(binary) => discover(binary, settings).map(Some),
    }
}

fn discover(binary: &str, settings: &Settings) -> anyhow::Result<ResolvedScheduler> {
    if let Some(path) = &settings.scheduler {
        return if is_executable(path) {
            Ok(ResolvedScheduler { path: path.clone(), source: "KTSTR_SCHEDULER" })
        } else {
            Err(fault(format!("KTSTR_SCHEDULER={} is not an executable file; correct it or unset it", path.display())))
        };
    }
    let beside = target_dirs().into_iter().map(|dir| (dir.join(binary), "target"));
    let cached = ktstr_kernel::scheduler_cache::find(binary).map(|path| (path, "cache"));
    let on_path = settings
        .cargo_test_mode
        .then(|| std::env::var_os("PATH"))
        .flatten()
        .map(|dirs| std::env::split_paths(&dirs).map(|d| (d.join(binary), "PATH")).collect::<Vec<_>>())
        .unwrap_or_default();
    beside
        .chain(cached)
        .chain(on_path)
        .find(|(path, _)| is_executable(path))
        .map(|(path, source)| ResolvedScheduler { path, source })
        .ok_or_else(|| {
            fault(format!(
                "scheduler binary `{binary}` was not found in the target directories or the cache; \
                 run `cargo ktstr scheduler install {binary}`, or set KTSTR_SCHEDULER to its path"
            ))
        })
}

/// The directories cargo puts binaries into, seen from a test binary in `target/PROFILE/deps`.
fn target_dirs() -> Vec<PathBuf> {
    let Ok(exe) = std::env::current_exe() else {
        return Vec::new();
    };
    let mut dirs = Vec::new();
    if let Some(deps) = exe.parent() {
        dirs.push(deps.to_owned());
        if let Some(profile) = deps.parent() {
            dirs.push(profile.to_owned());
            if let Some(target) = profile.parent() {
                dirs.extend(["release", "debug"].map(|p| target.join(p)));
            }
        }
    }
    dirs
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Whether a listing should count on this program: it is built or installed. Nothing is built to find out.
pub fn is_there(binary: &str, settings: &Settings) -> bool {
    discover(binary, settings).is_ok()
}

fn fault(message: String) -> anyhow::Error {
    anyhow::Error::new(HarnessFault::new(message))
}

//! From a declared scheduler to the file that will be packed into the guest.

use crate::env::Settings;
use crate::workspace::{BuildFailure, Workspace};
use ktstr_scenario::{Scheduler, SchedulerSpec};
use ktstr_verdict::{HarnessFault, SchedulerBuildRefused};
use std::path::{Path, PathBuf};

/// A scheduler binary on the host, and how it was found (the record's `resolve_source`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedScheduler {
    /// The file.
    pub path: PathBuf,
    /// `KTSTR_SCHEDULER`, `path`, `build`, `target`, `PATH`, `cache`, or `stale` when its build failed and an older binary
    /// stands in.
    pub source: &'static str,
}

/// Finds the binary; `None` for EEVDF and schedulers of the kernel. `KTSTR_SCHEDULER` stands for the one under test only.
///
/// # Errors
/// A [`HarnessFault`]: a scheduler that is not there was never tested, so no expectation may turn this into a pass.
/// [`SchedulerBuildRefused`] when it is a package of the workspace that does not build.
pub fn resolve(
    scheduler: &Scheduler,
    under_test: bool,
    settings: &Settings,
) -> anyhow::Result<Option<ResolvedScheduler>> {
    match scheduler.spec {
        SchedulerSpec::Eevdf | SchedulerSpec::KernelBuiltin { .. } => Ok(None),
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
        SchedulerSpec::Discover(binary) => {
            if let Some(path) = settings.scheduler.as_ref().filter(|_| under_test) {
                return if is_executable(path) {
                    Ok(Some(ResolvedScheduler { path: path.clone(), source: "KTSTR_SCHEDULER" }))
                } else {
                    let why =
                        format!("KTSTR_SCHEDULER={} is not an executable file; correct it or unset it", path.display());
                    Err(fault(why))
                };
            }
            let built = Workspace::of_this_test()
                .filter(|w| w.has(binary))
                .map(|w| w.build(binary, settings.scheduler_profile.as_deref().unwrap_or("release")));
            choose(binary, built, lying_about(binary, settings), settings.allow_stale).map(Some)
        }
    }
}

/// Programs of that name that lie about, best first.
fn lying_about(binary: &str, settings: &Settings) -> Option<ResolvedScheduler> {
    let beside = target_dirs().into_iter().map(|dir| (dir.join(binary), "target"));
    let on_path = settings
        .cargo_test_mode
        .then(|| std::env::var_os("PATH"))
        .flatten()
        .map(|dirs| std::env::split_paths(&dirs).map(|d| (d.join(binary), "PATH")).collect::<Vec<_>>())
        .unwrap_or_default();
    let cached = ktstr_kernel::scheduler_cache::find(binary).map(|path| (path, "cache"));
    beside
        .chain(on_path)
        .chain(cached)
        .find(|(path, _)| is_executable(path))
        .map(|(path, source)| ResolvedScheduler { path, source })
}

/// What cargo built, for a package of the workspace; a program that lies about stands in for it only where that is allowed.
fn choose(
    binary: &str,
    built: Option<Result<PathBuf, BuildFailure>>,
    found: Option<ResolvedScheduler>,
    allow_stale: bool,
) -> anyhow::Result<ResolvedScheduler> {
    match (built, found) {
        (Some(Ok(path)), _) => Ok(ResolvedScheduler { path, source: "build" }),
        (Some(Err(BuildFailure(words))), Some(older)) if allow_stale => {
            eprintln!("ktstr: WARNING: `{binary}` does not build, {} stands in:\n{words}", older.path.display());
            Ok(ResolvedScheduler { source: "stale", ..older })
        }
        (Some(Err(BuildFailure(words))), found) => {
            let hint = if found.is_some() {
                "; KTSTR_SCHEDULER_ALLOW_STALE_FALLBACK=1 lets the older binary that is there stand in"
            } else {
                ""
            };
            Err(anyhow::Error::new(SchedulerBuildRefused::new(format!(
                "scheduler `{binary}` does not build, mend it{hint}:\n{words}"
            ))))
        }
        (None, Some(found)) => Ok(found),
        (None, None) => Err(fault(format!(
            "scheduler binary `{binary}` was not found in the target directories or the cache, and is no package here; \
             run `cargo ktstr scheduler install {binary}`, or set KTSTR_SCHEDULER to its path"
        ))),
    }
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
            dirs.extend(["release", "debug"].map(|p| profile.join(p)));
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

/// Whether a listing should count on this program: it is a package here, built or installed. Nothing is built to find out.
pub fn is_there(binary: &str, settings: &Settings) -> bool {
    settings.scheduler.as_deref().is_some_and(is_executable)
        || Workspace::of_this_test().is_some_and(|w| w.has(binary))
        || lying_about(binary, settings).is_some()
}

pub(crate) fn fault(message: String) -> anyhow::Error {
    anyhow::Error::new(HarnessFault::new(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn older() -> Option<ResolvedScheduler> {
        Some(ResolvedScheduler { path: "/t/scx-own".into(), source: "target" })
    }

    fn broken() -> Option<Result<PathBuf, BuildFailure>> {
        Some(Err(BuildFailure("error: no".into())))
    }

    #[test]
    fn what_cargo_built_comes_before_what_lies_about() {
        let built = Some(Ok(PathBuf::from("/t/release/scx-own")));
        let chosen = choose("scx-own", built, older(), false).unwrap();
        assert_eq!(chosen, ResolvedScheduler { path: "/t/release/scx-own".into(), source: "build" });
        assert_eq!(choose("scx-own", None, older(), false).unwrap().source, "target");
    }

    #[test]
    fn an_older_binary_stands_in_only_where_that_is_allowed_and_says_so() {
        let refused = choose("scx-own", broken(), older(), false).unwrap_err();
        assert!(refused.is::<SchedulerBuildRefused>() && refused.to_string().contains("ALLOW_STALE_FALLBACK"));
        assert_eq!(choose("scx-own", broken(), older(), true).unwrap().source, "stale");
        let nothing = choose("scx-own", broken(), None, true).unwrap_err();
        assert!(nothing.is::<SchedulerBuildRefused>() && !nothing.to_string().contains("ALLOW_STALE_FALLBACK"));
    }

    #[test]
    fn a_scheduler_that_is_nowhere_is_a_fault_of_the_harness() {
        assert!(choose("scx-own", None, None, true).unwrap_err().is::<HarnessFault>());
    }
}

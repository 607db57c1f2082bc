//! Published schedulers in the cache: `<cache>/schedulers/<name>-<version>/bin/<name>`.

use crate::cache::{Cache, CacheError, publish_dir};
use crate::progress::Progress;
use crate::published::{PUBLISHED, nearest};
use crate::version::decompose_version_for_compare;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use thiserror::Error;

/// The compiler of the BPF half.
const CLANG: &str = "clang-19";

/// A file that a build needs, and the Debian package that brings it.
const NEEDS: [(&str, &str); 7] = [
    ("/usr/bin/cc", "gcc"),
    ("/usr/bin/make", "make"),
    ("/usr/bin/clang-19", "clang-19"),
    ("/usr/include/libelf.h", "libelf-dev"),
    ("/usr/include/zlib.h", "zlib1g-dev"),
    ("/usr/include/seccomp.h", "libseccomp-dev"),
    ("/usr/bin/pkg-config", "pkg-config"),
];

/// Why a scheduler could not be installed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InstallError {
    /// Not the name of a published scheduler.
    #[error("`{name}` is not a published scheduler; {}", suggestion(name))]
    Name {
        /// What was said.
        name: String,
    },
    /// Not a version.
    #[error(
        "`{version}` is not a version of {name}: give it in full, as in {name}@1.1.4, or leave it out for the newest"
    )]
    Version {
        /// The scheduler.
        name: String,
        /// What was said.
        version: String,
    },
    /// Development packages are not installed.
    #[error("building {name} needs packages that are missing; run `apt-get install {}`", packages.join(" "))]
    Missing {
        /// The scheduler.
        name: String,
        /// The packages.
        packages: Vec<&'static str>,
    },
    /// cargo failed; its own words stand above.
    #[error(
        "`cargo install {name}` failed ({status}); its messages are above: is the registry in reach, does the version exist?"
    )]
    Cargo {
        /// The scheduler.
        name: String,
        /// Exit status of cargo.
        status: String,
    },
    /// cargo said it installed it, and it is not there.
    #[error("cargo installed {0}, but it brought no program of that name")]
    NoProgram(String),
    /// The cache refused.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

fn suggestion(name: &str) -> String {
    match nearest(name) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("there are {}", PUBLISHED.join(", ")),
    }
}

/// An installed scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its program.
    pub path: PathBuf,
    /// Bytes of its program.
    pub size: u64,
}

/// All installed schedulers, by name and version.
#[must_use]
pub fn installed() -> Vec<Installed> {
    let Ok(cache) = Cache::open() else { return Vec::new() };
    let entries = std::fs::read_dir(root(&cache)).into_iter().flatten().flatten();
    let mut found: Vec<Installed> = entries
        .filter_map(|e| {
            let dir = e.file_name().into_string().ok()?;
            let (name, version) = dir.rsplit_once('-')?;
            let path = e.path().join("bin").join(name);
            let size = std::fs::metadata(&path).ok().filter(|m| m.is_file() && m.len() > 0)?.len();
            let (name, version) = (name.to_owned(), version.to_owned());
            (!dir.starts_with('.')).then_some(Installed { name, version, path, size })
        })
        .collect();
    found.sort_by_key(|s| (s.name.clone(), decompose_version_for_compare(&s.version)));
    found
}

/// The newest installed program of that name.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    installed().into_iter().rfind(|s| s.name == name).map(|s| s.path)
}

/// Builds a published scheduler into the cache, or takes it from there; `None` means the newest version.
///
/// # Errors
/// Missing packages, each named; a failed build; a cache that cannot be written.
pub fn install(name: &str, version: Option<&str>, progress: &dyn Progress) -> Result<PathBuf, InstallError> {
    let there = installed().into_iter().rfind(|s| s.name == name && version.is_none_or(|v| v == s.version));
    if let Some(there) = there {
        return Ok(there.path);
    }
    if !PUBLISHED.contains(&name) {
        return Err(InstallError::Name { name: name.to_owned() });
    }
    if let Some(version) = version.filter(|v| !is_version(v)) {
        return Err(InstallError::Version { name: name.to_owned(), version: version.to_owned() });
    }
    let packages: Vec<&str> = NEEDS.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, p)| *p).collect();
    if !packages.is_empty() {
        return Err(InstallError::Missing { name: name.to_owned(), packages });
    }
    let cache = Cache::open()?;
    let schedulers = root(&cache);
    let io = |e| CacheError::Io { action: "write", path: schedulers.clone(), cause: e };
    std::fs::create_dir_all(&schedulers).map_err(io)?;
    let work = tempfile::Builder::new().prefix(".build-").tempdir_in(&schedulers).map_err(io)?;
    progress.step(&format!("building {name}: some minutes"));
    cargo_install(name, version, work.path())?;
    let built = work.path().join("bin").join(name);
    if !built.is_file() {
        return Err(InstallError::NoProgram(name.to_owned()));
    }
    let version = version.map_or_else(|| installed_version(work.path(), name), str::to_owned);
    let dest = schedulers.join(format!("{name}-{version}"));
    let target = dest.join("bin").join(name);
    publish_dir(
        &dest,
        || !target.is_file(),
        |dir| -> Result<(), CacheError> {
            let bin = dir.join("bin");
            std::fs::create_dir(&bin).and_then(|()| std::fs::copy(&built, bin.join(name))).map(drop).map_err(io)
        },
    )?;
    Ok(target)
}

/// Three numbers, and whatever semantic versioning allows behind them.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let number = |n: &&str| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit());
    numbers.len() == 3
        && numbers.iter().all(number)
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c))
}

fn root(cache: &Cache) -> PathBuf {
    cache.dir().join("schedulers")
}

fn cargo_install(name: &str, version: Option<&str>, into: &Path) -> Result<(), InstallError> {
    let mut command = Command::new("cargo");
    command.args(["install", "--locked", "--root"]).arg(into).arg("--target-dir").arg(into.join("target")).arg(name);
    if let Some(version) = version {
        command.args(["--version", version]);
    }
    // Where the program lands is nobody's to add to a PATH, and cargo says so to whoever has not.
    let bin = into.join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Ok(path) = std::env::join_paths(std::env::split_paths(&path).chain([bin])) {
        command.env("PATH", path);
    }
    // Standard output may be a machine's; cargo's talk goes to stderr as it is.
    let status = command.env("BPF_CLANG", CLANG).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(InstallError::Cargo { name: name.to_owned(), status: status.to_string() }),
        Err(e) => Err(InstallError::Cargo { name: name.to_owned(), status: e.to_string() }),
    }
}

/// The version cargo wrote down (`.crates.toml`: `"NAME VERSION (SOURCE)" = [...]`).
fn installed_version(root: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(root.join(".crates.toml")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(&format!("\"{name} "))?.split_ascii_whitespace().next().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_name_that_is_not_published_is_refused_with_the_one_that_was_meant() {
        for bad in ["", "--git", "../x", "a b", "bpfland"] {
            assert!(matches!(install(bad, None, &Silent), Err(InstallError::Name { .. })), "{bad}");
        }
        let text = |name: &str| InstallError::Name { name: name.into() }.to_string();
        assert_eq!(text("bpfland"), "`bpfland` is not a published scheduler; did you mean scx_bpfland?");
        assert!(text("--git").contains("there are scx_beerland, "));
    }

    #[test]
    fn a_version_is_three_numbers() {
        assert!(is_version("1.1.4") && is_version("1.0.0-rc.1+build"));
        for bad in ["", "1", "1.1", "latest", "1.1.4 --git x", "1..4", "../1.1", "1.1.x"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn the_version_is_read_from_cargo_s_own_book() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = "[v1]\n\"scx_bpfland 1.1.4 (registry+https://example.org)\" = [\"scx_bpfland\"]\n";
        std::fs::write(dir.path().join(".crates.toml"), text).expect("writes");
        assert_eq!(installed_version(dir.path(), "scx_bpfland"), "1.1.4");
        assert_eq!(installed_version(dir.path(), "other"), "unknown");
    }
}

//! Finding a kernel that is already here.

use crate::cache::{Cache, CacheEntry};
use crate::image::{is_elf, kernel_release};
use anyhow::{Context as _, Result, anyhow};
use ktstr_verdict::KernelUnavailable;
use std::fs;
use std::path::{Path, PathBuf};

/// The one command that ends a search without a find.
const FIX: &str = "run `cargo ktstr kernel fetch`, or set KTSTR_KERNEL to a kernel image";

/// A kernel, and what lies beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundKernel {
    /// bzImage or vmlinux.
    pub image: PathBuf,
    /// The ELF kernel, which boots without the decompressor.
    pub vmlinux: Option<PathBuf>,
    /// Its configuration.
    pub config: Option<PathBuf>,
    /// What `uname -r` will say.
    pub release: Option<String>,
    /// What to call it.
    pub label: String,
    /// Upstream version.
    pub version: Option<String>,
    /// The commit that it was built from, where its cache entry or its release says so.
    pub commit: Option<String>,
    /// How it was found.
    pub source: String,
}

/// Where to look: the variables and directories of one process.
#[derive(Clone, Debug, Default)]
pub struct FindEnv {
    /// `KTSTR_TEST_KERNEL`, even when empty.
    pub test_kernel: Option<PathBuf>,
    /// `KTSTR_KERNEL`, `None` when empty.
    pub kernel: Option<PathBuf>,
    /// The cache, `None` when it has no place.
    pub cache: Option<Cache>,
    /// Directory that ./linux and ../linux are beside.
    pub cwd: PathBuf,
    /// Release of the running kernel.
    pub host_release: String,
    /// Root of /lib/modules and /boot.
    pub root: PathBuf,
}

impl FindEnv {
    /// This process's.
    #[must_use]
    pub fn from_process() -> Self {
        let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
        Self {
            test_kernel: var("KTSTR_TEST_KERNEL"),
            kernel: var("KTSTR_KERNEL").filter(|p| !p.as_os_str().is_empty()),
            cache: Cache::open().ok(),
            cwd: std::env::current_dir().unwrap_or_default(),
            host_release: rustix::system::uname().release().to_string_lossy().into_owned(),
            root: PathBuf::from("/"),
        }
    }
}

/// The first kernel in the order of the specification.
///
/// # Errors
/// [`KernelUnavailable`] when there is none; a plain error for a variable that names nothing usable.
pub fn find_kernel(env: &FindEnv) -> Result<FoundKernel> {
    if let Some(path) = &env.test_kernel {
        if path.as_os_str().is_empty() || !path.is_file() {
            return Err(anyhow!("KTSTR_TEST_KERNEL={} is not a file: correct it or unset it", path.display()));
        }
        return FoundKernel::from_path(path).context("KTSTR_TEST_KERNEL");
    }
    if let Some(path) = &env.kernel {
        let cached = env.cache.as_ref().filter(|_| !path.exists()).and_then(|c| c.entry(&path.to_string_lossy()));
        return match cached {
            Some(entry) => from_entry(&entry),
            None => FoundKernel::from_path(path),
        }
        .with_context(|| format!("KTSTR_KERNEL={}", path.display()));
    }
    if let Some(entry) = env.cache.as_ref().and_then(|c| c.newest().ok().flatten()) {
        return from_entry(&entry);
    }
    let release = &env.host_release;
    let rooted = |path: String| env.root.join(path);
    let places = [
        env.cwd.join("linux"),
        env.cwd.join("../linux"),
        rooted(format!("lib/modules/{release}/build")),
        rooted(format!("lib/modules/{release}/vmlinuz")),
        rooted(format!("boot/vmlinuz-{release}")),
        rooted("boot/vmlinuz".to_owned()),
    ];
    places
        .iter()
        .find_map(|place| FoundKernel::from_path(place).ok())
        .ok_or_else(|| anyhow::Error::new(KernelUnavailable::new("no kernel was found", FIX)))
}

fn from_entry(entry: &CacheEntry) -> Result<FoundKernel> {
    entry.verify_touched()?;
    let meta = entry.metadata();
    Ok(FoundKernel {
        image: entry.vmlinuz(),
        vmlinux: Some(entry.vmlinux()),
        config: Some(entry.config()),
        release: Some(meta.release.clone()),
        label: entry.label().to_owned(),
        version: Some(meta.version.clone()),
        commit: meta.commit.clone().or_else(|| commit_of_release(&meta.release).map(str::to_owned)),
        source: "cache".to_owned(),
    })
}

impl FoundKernel {
    /// A file, a directory with a kernel in it, or a cache entry, which is checked against its hashes.
    ///
    /// # Errors
    /// Nothing there, or no kernel in it.
    pub fn from_path(path: &Path) -> Result<Self> {
        if path.join("metadata.json").exists() {
            return from_entry(&CacheEntry::read(path)?);
        }
        let image = if path.is_dir() { image_in(path) } else { Some(path.to_owned()).filter(|p| p.is_file()) };
        let image = image.with_context(|| format!("{} holds no kernel image", path.display()))?;
        let bytes = fs::read(&image).with_context(|| format!("failed to read {}", image.display()))?;
        let dir = image.parent().unwrap_or(Path::new("/"));
        let elf = is_elf(&bytes);
        let vmlinux = if elf { Some(image.clone()) } else { Some(dir.join("vmlinux")).filter(|p| p.is_file()) };
        let release = if elf { release_beside(dir) } else { kernel_release(&bytes) };
        let version = release.as_deref().and_then(|r| r.split(['+', '-']).next()).map(str::to_owned);
        let config = ["config".to_owned(), ".config".to_owned()]
            .into_iter()
            .chain(release.as_ref().map(|r| format!("config-{r}")))
            .flat_map(|name| [dir.join(&name), path.join(&name)])
            .find(|p| p.is_file());
        let commit = release.as_deref().and_then(commit_of_release).map(str::to_owned);
        Ok(Self {
            label: version.clone().unwrap_or_else(|| path_label(path)),
            image,
            vmlinux,
            config,
            release,
            version,
            commit,
            source: "path".to_owned(),
        })
    }
}

/// The commit in a release that names it (kernel: scripts/setlocalversion): `1234567abcde` of `7.3.0-rc1-00042-g1234567abcde-dirty`,
/// with its `-dirty`.
#[must_use]
pub fn commit_of_release(release: &str) -> Option<&str> {
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    release.match_indices("-g").find_map(|(at, _)| {
        let rest = &release[at + 2..];
        let digits = rest.find(|c| !hex(c)).unwrap_or(rest.len());
        let (commit, end) = rest.split_at(digits);
        if !(7..=40).contains(&commit.len()) || end.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        Some(if end.starts_with("-dirty") { &rest[..digits + "-dirty".len()] } else { commit })
    })
}

fn image_in(dir: &Path) -> Option<PathBuf> {
    let built = fs::read_dir(dir.join("arch")).ok().into_iter().flatten().flatten();
    let mut candidates: Vec<PathBuf> = built.map(|arch| arch.path().join("boot/bzImage")).collect();
    candidates.sort();
    candidates.extend(["bzImage", "vmlinuz", "vmlinux"].map(|name| dir.join(name)));
    candidates.into_iter().find(|p| p.is_file())
}

fn release_beside(dir: &Path) -> Option<String> {
    let image = fs::read(dir.join("vmlinuz")).ok()?;
    kernel_release(&image)
}

/// `path_{basename}_{6 hex digits of a CRC-32 of the canonical path}`.
#[must_use]
pub fn path_label(path: &Path) -> String {
    let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let base = canonical.file_name().map_or_else(|| "root".into(), |n| n.to_string_lossy().into_owned());
    let crc = crc32fast::hash(canonical.as_os_str().as_encoded_bytes());
    format!("path_{base}_{:06x}", crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_names_its_commit_or_none() {
        assert_eq!(commit_of_release("7.3.0-rc1-00042-g1234567abcde"), Some("1234567abcde"));
        assert_eq!(commit_of_release("7.3.0-g1234567abcde-dirty"), Some("1234567abcde-dirty"));
        assert_eq!(commit_of_release("7.3.0-virtme-00042-g1234567abcde+"), Some("1234567abcde"));
        for none in ["6.18.15+deb13-cloud-amd64", "6.1-gentoo", "6.1-gaffe", "6.1-g1234567abcdex", ""] {
            assert_eq!(commit_of_release(none), None, "{none}");
        }
    }

    #[test]
    fn a_variable_that_names_nothing_is_an_error_and_not_a_skip() {
        let env = FindEnv { test_kernel: Some("".into()), ..FindEnv::default() };
        let error = find_kernel(&env).unwrap_err();
        assert!(error.downcast_ref::<KernelUnavailable>().is_none());
        let env = FindEnv { kernel: Some("/nonexistent".into()), ..FindEnv::default() };
        assert!(format!("{:#}", find_kernel(&env).unwrap_err()).contains("KTSTR_KERNEL=/nonexistent"));
    }

    #[test]
    fn no_kernel_anywhere_is_a_skip_that_says_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let env = FindEnv { cwd: dir.path().join("a"), root: dir.path().to_owned(), ..FindEnv::default() };
        let error = find_kernel(&env).unwrap_err();
        assert!(error.downcast_ref::<KernelUnavailable>().is_some());
        assert!(error.to_string().contains("cargo ktstr kernel fetch"));
    }
}

//! Where the cache is, and what is in it.

use super::{CacheEntry, CacheError};
use crate::version::decompose_version_for_compare;
use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The cache's root directory. Opening it creates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache of this process: `KTSTR_CACHE_DIR`, else `$XDG_CACHE_HOME/ktstr`, else `~/.cache/ktstr`. Empty is unset.
    ///
    /// # Errors
    /// [`CacheError::NoHome`] when none of the variables is set.
    pub fn open() -> Result<Self, CacheError> {
        Self::locate(|name| env::var_os(name))
    }

    /// The cache in `dir`, whatever the environment says.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn locate(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, CacheError> {
        let set = |name: &str| var(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        set("KTSTR_CACHE_DIR")
            .or_else(|| set("XDG_CACHE_HOME").map(|d| d.join("ktstr")))
            .or_else(|| set("HOME").map(|d| d.join(".cache/ktstr")))
            .map(Self::at)
            .ok_or(CacheError::NoHome)
    }

    /// The root, for others that keep their own directories in it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of kernels.
    pub fn kernels_dir(&self) -> PathBuf {
        self.dir.join("kernels")
    }

    /// The directory of kernels' symbols, each file named by the SHA-256 of its image and the version of what is in it.
    pub fn symbols_dir(&self) -> PathBuf {
        self.dir.join("symbols")
    }

    /// The entry of that key, if its metadata can be read. Its files are not checked: see [`CacheEntry::verify`].
    pub fn entry(&self, key: &str) -> Option<CacheEntry> {
        is_key(key).then(|| CacheEntry::read(&self.kernels_dir().join(key)).ok()).flatten()
    }

    /// All entries whose metadata can be read, newest version first; files are not checked.
    ///
    /// # Errors
    /// The directory exists and cannot be read.
    pub fn entries(&self) -> Result<Vec<CacheEntry>, CacheError> {
        let dir = self.kernels_dir();
        let listing = match fs::read_dir(&dir) {
            Ok(listing) => listing,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(CacheError::io("read", &dir, e)),
        };
        let mut entries: Vec<CacheEntry> = listing
            .flatten()
            .filter(|e| e.file_name().to_str().is_some_and(is_key))
            .filter_map(|e| CacheEntry::read(&e.path()).ok())
            .collect();
        entries.sort_by_cached_key(|e| {
            Reverse((decompose_version_for_compare(&e.metadata().version), e.key().to_owned()))
        });
        Ok(entries)
    }

    /// The newest entry that passes its hash check, one with sched_ext before any without.
    ///
    /// # Errors
    /// The directory exists and cannot be read.
    pub fn newest(&self) -> Result<Option<CacheEntry>, CacheError> {
        let (with, without): (Vec<_>, Vec<_>) = self.entries()?.into_iter().partition(|e| e.metadata().sched_ext);
        Ok(with.into_iter().chain(without).find(|e| e.verify().is_ok()))
    }
}

/// Whether `name` can be an entry's directory: no separator, and not one of the hidden siblings.
fn is_key(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_and_not_empty_names_the_cache() {
        let at = |vars: &'static [(&str, &str)]| {
            Cache::locate(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
        };
        let all = at(&[("KTSTR_CACHE_DIR", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]);
        assert_eq!(all.expect("found").dir(), Path::new("/c"));
        let xdg = at(&[("KTSTR_CACHE_DIR", ""), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]);
        assert_eq!(xdg.expect("found").dir(), Path::new("/x/ktstr"));
        assert_eq!(at(&[("HOME", "/h")]).expect("found").dir(), Path::new("/h/.cache/ktstr"));
        assert!(at(&[]).expect_err("nowhere").to_string().contains("KTSTR_CACHE_DIR"));
    }

    #[test]
    fn a_cache_that_does_not_exist_is_empty() {
        let cache = Cache::at("/nonexistent-ktstr-cache");
        assert_eq!(cache.entries().expect("no error").len(), 0);
        assert_eq!(cache.newest().expect("no error"), None);
        assert_eq!(cache.entry("../etc"), None);
    }
}

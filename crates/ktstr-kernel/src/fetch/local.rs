//! A package file on this machine.

use super::candidate::upstream_version;
use super::entry::{Source, store};
use super::error::FetchError;
use crate::cache::{Cache, CacheEntry, PackageRecord, sha256_file};
use std::path::Path;

/// Caches the kernel of a package file named as the archive names it: `NAME_VERSION_ARCH.deb`.
pub(super) fn fetch_file(cache: &Cache, path: &Path) -> Result<CacheEntry, FetchError> {
    let bad = |why: &str| FetchError::Package { path: path.to_owned(), why: why.to_owned() };
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let (name, version) = stem
        .split_once('_')
        .map(|(name, rest)| (name, rest.rsplit_once('_').map_or(rest, |(version, _)| version)))
        .ok_or_else(|| bad("its name is not of the form NAME_VERSION_ARCH.deb"))?;
    let sha256 = sha256_file(path).map_err(|e| bad(&format!("it cannot be read: {e}")))?;
    let package = PackageRecord {
        name: name.to_owned(),
        version: version.to_owned(),
        filename: path.to_string_lossy().into_owned(),
        sha256,
        size: std::fs::metadata(path).map_or(0, |m| m.len()),
    };
    store(
        cache,
        &Source {
            version: upstream_version(version),
            source: "local file".to_owned(),
            packages: vec![package],
            modules: None,
            files: vec![path.to_owned()],
        },
    )
}

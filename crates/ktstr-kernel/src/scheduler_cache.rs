//! Published schedulers in the cache: `<cache>/schedulers/<name>-<version>/bin/<name>`.

use crate::cache::Cache;
use std::path::PathBuf;

/// The newest installed binary of that name.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let dir = Cache::open().ok()?.dir().join("schedulers");
    let prefix = format!("{name}-");
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(&prefix))
        .map(|e| e.path().join("bin").join(name))
        .filter(|p| p.is_file())
        .collect();
    found.sort();
    found.pop()
}

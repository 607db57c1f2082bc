//! Making room.

use super::{Cache, CacheError};
use std::fs;

/// What [`Cache::clean`] removed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cleaned {
    /// Keys of the removed kernels.
    pub removed: Vec<String>,
    /// Keys of those that stay, newest first.
    pub kept: Vec<String>,
    /// Bytes that were freed, as recorded.
    pub freed: u64,
}

impl Cache {
    /// Removes all kernels but the `keep` newest, modules without a kernel, and all symbols, which their kernels tell again when
    /// somebody asks. Whatever is not a readable entry goes too.
    ///
    /// # Errors
    /// Something could not be removed; what was removed before is gone.
    pub fn clean(&self, keep: usize) -> Result<Cleaned, CacheError> {
        let entries = self.entries()?;
        let kept: Vec<String> = entries.iter().take(keep).map(|e| e.key().to_owned()).collect();
        let freed = entries.iter().skip(keep).map(super::CacheEntry::size).sum();
        let mut removed = Vec::new();
        for dir in [self.kernels_dir(), self.dir().join("modules")] {
            let Ok(listing) = fs::read_dir(&dir) else {
                continue;
            };
            for item in listing.flatten() {
                let name = item.file_name().to_string_lossy().into_owned();
                // Hidden names are locks and directories that another process may be filling.
                if name.starts_with('.') || kept.contains(&name) || !item.path().is_dir() {
                    continue;
                }
                fs::remove_dir_all(item.path()).map_err(|e| CacheError::io("remove", &item.path(), e))?;
                removed.push(name);
            }
        }
        let symbols = self.symbols_dir();
        if symbols.exists() {
            fs::remove_dir_all(&symbols).map_err(|e| CacheError::io("remove", &symbols, e))?;
        }
        removed.sort();
        removed.dedup();
        Ok(Cleaned { removed, kept, freed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::entry::tests::plant;

    #[test]
    fn the_newest_stay_and_the_rest_goes_with_its_modules() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let cache = Cache::at(root.path());
        for version in ["6.16.3", "6.18.15", "7.3.4"] {
            plant(&cache, version, version, true);
            fs::create_dir_all(cache.dir().join("modules").join(version)).expect("writable");
        }
        fs::create_dir_all(cache.symbols_dir()).expect("writable");
        let cleaned = cache.clean(1).expect("removable");
        assert!(!cache.symbols_dir().exists());
        assert_eq!(cleaned.kept, ["7.3.4"]);
        assert_eq!(cleaned.removed, ["6.16.3", "6.18.15"]);
        assert!(cleaned.freed > 0);
        assert!(cache.dir().join("modules/7.3.4").is_dir() && !cache.dir().join("modules/6.16.3").exists());
        assert_eq!(cache.clean(0).expect("removable").removed, ["7.3.4"]);
    }
}

//! What can go wrong with the cache.

use std::io;
use std::path::{Path, PathBuf};

/// The cache could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No variable says where the cache is, and there is no home directory.
    #[error("no place for the cache: KTSTR_CACHE_DIR, XDG_CACHE_HOME and HOME are all unset; set KTSTR_CACHE_DIR")]
    NoHome,
    /// The file system is full.
    #[error(
        "no space left while writing {}; `cargo ktstr kernel clean --keep 1` frees some, or set KTSTR_CACHE_DIR to a larger disk", path.display()
    )]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// An entry's file is not the one that was stored.
    #[error(
        "cached kernel {version} is damaged: {} {what}; `cargo ktstr kernel fetch {version}` replaces it", path.display()
    )]
    Damaged {
        /// The entry's key, which fetch accepts.
        version: String,
        /// The file that differs.
        path: PathBuf,
        /// How it differs.
        what: String,
    },
    /// Any other refusal of the operating system.
    #[error("failed to {action} {}: {cause}; KTSTR_CACHE_DIR puts the cache elsewhere", path.display())]
    Io {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl CacheError {
    /// Classifies an I/O error: a full disk gets its own words.
    pub(crate) fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path: path.to_owned() },
            _ => Self::Io { action, path: path.to_owned(), cause },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_and_says_how_to_free_some() {
        let full = CacheError::io("write", Path::new("/c/vmlinuz"), io::ErrorKind::StorageFull.into());
        assert!(matches!(full, CacheError::NoSpace { .. }));
        assert!(full.to_string().contains("cargo ktstr kernel clean"), "{full}");
        let other = CacheError::io("write", Path::new("/c/x"), io::ErrorKind::PermissionDenied.into());
        assert!(other.to_string().starts_with("failed to write /c/x: "), "{other}");
    }
}

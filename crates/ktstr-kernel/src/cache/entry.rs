//! One cached kernel.

use super::{CacheError, FileRecord, METADATA_SCHEMA, Metadata, file_stamp, sha256_file};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const METADATA: &str = "metadata.json";
/// What an entry is made of, beside its metadata.
const FILES: [&str; 3] = ["vmlinuz", "vmlinux", "config"];
/// Where the state of the files at their last verification is kept.
const VERIFIED: &str = ".verified";

/// A directory with `vmlinuz`, `vmlinux`, `config` and `metadata.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    dir: PathBuf,
    metadata: Metadata,
}

impl CacheEntry {
    /// Reads an entry's metadata; the other files are not looked at.
    ///
    /// # Errors
    /// `metadata.json` is missing, or not of [`METADATA_SCHEMA`].
    pub fn read(dir: &Path) -> Result<Self, CacheError> {
        let path = dir.join(METADATA);
        let bytes = fs::read(&path).map_err(|e| CacheError::io("read", &path, e))?;
        let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|e| damaged(dir, &path, e.to_string()))?;
        if metadata.schema != METADATA_SCHEMA {
            return Err(damaged(dir, &path, format!("has schema {}, not {METADATA_SCHEMA}", metadata.schema)));
        }
        Ok(Self { dir: dir.to_owned(), metadata })
    }

    /// Its directory's name, unique in the cache: the version, or version and package revision.
    pub fn key(&self) -> &str {
        self.dir.file_name().and_then(|n| n.to_str()).unwrap_or(&self.metadata.version)
    }

    /// What people call it: the version, and for a kernel that was built here its key, for a stock kernel may have its version.
    pub fn label(&self) -> &str {
        if self.key().starts_with("path_") { self.key() } else { &self.metadata.version }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known about it.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The bzImage.
    pub fn vmlinuz(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The decompressed ELF kernel, which boots without the decompressor.
    pub fn vmlinux(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }

    /// The kernel's configuration, for `/boot/config-<release>` in the guest.
    pub fn config(&self) -> PathBuf {
        self.dir.join("config")
    }

    /// Compares every file with its recorded size and SHA-256 (a tenth of a second). To be called before each boot.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] names the first file that differs, and the command that replaces the entry.
    pub fn verify(&self) -> Result<(), CacheError> {
        for name in FILES {
            let path = self.dir.join(name);
            let Some(record) = self.metadata.files.get(name) else {
                return Err(damaged(&self.dir, &path, "is not in metadata.json".into()));
            };
            let size = fs::metadata(&path).map_err(|e| damaged(&self.dir, &path, e.to_string()))?.len();
            if size != record.size {
                let what = format!("has {size} bytes instead of {}", record.size);
                return Err(damaged(&self.dir, &path, what));
            }
            let hash = sha256_file(&path).map_err(|e| damaged(&self.dir, &path, e.to_string()))?;
            if hash != record.sha256 {
                return Err(damaged(&self.dir, &path, "does not have its recorded SHA-256".into()));
            }
        }
        Ok(())
    }

    /// Like [`CacheEntry::verify`], but files that were not touched since they were last found good ([`file_stamp`]) are not
    /// read again.
    ///
    /// # Errors
    /// As [`CacheEntry::verify`].
    pub fn verify_touched(&self) -> Result<(), CacheError> {
        let stamp = self.stamp();
        let path = self.dir.join(VERIFIED);
        if stamp.is_some() && fs::read_to_string(&path).ok() == stamp {
            return Ok(());
        }
        self.verify()?;
        // A touch while the files were read makes another stamp, and they are read again next time. So are those of a cache
        // that may not be written to.
        if let Some(stamp) = stamp {
            let _ = fs::write(&path, stamp);
        }
        Ok(())
    }

    fn stamp(&self) -> Option<String> {
        let lines = FILES.iter().chain(&[METADATA]);
        lines.map(|name| Some(format!("{name} {}\n", file_stamp(&self.dir.join(name))?))).collect()
    }

    /// Bytes on disk, as recorded.
    pub fn size(&self) -> u64 {
        self.metadata.files.values().map(|f| f.size).sum()
    }

    /// Writes `metadata.json` for the files that are in `dir` already, hashing them.
    pub(crate) fn seal(dir: &Path, mut metadata: Metadata) -> Result<(), CacheError> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir).map_err(|e| CacheError::io("read", dir, e))?.flatten() {
            let path = entry.path();
            let sha256 = sha256_file(&path).map_err(|e| CacheError::io("read", &path, e))?;
            let size = entry.metadata().map_err(|e| CacheError::io("inspect", &path, e))?.len();
            files.insert(entry.file_name().to_string_lossy().into_owned(), FileRecord { sha256, size });
        }
        metadata.files = files;
        let path = dir.join(METADATA);
        let mut text = serde_json::to_vec_pretty(&metadata).map_err(|e| CacheError::io("write", &path, e.into()))?;
        text.push(b'\n');
        fs::write(&path, text).map_err(|e| CacheError::io("write", &path, e))
    }
}

fn damaged(dir: &Path, path: &Path, what: String) -> CacheError {
    let version = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    CacheError::Damaged { version, path: path.to_owned(), what }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cache::{Cache, publish_dir};

    /// Publishes a small entry with made-up contents.
    pub(crate) fn plant(cache: &Cache, key: &str, version: &str, sched_ext: bool) -> CacheEntry {
        let dir = cache.kernels_dir().join(key);
        publish_dir::<CacheError>(
            &dir,
            || true,
            |work| {
                for name in ["vmlinuz", "vmlinux", "config"] {
                    fs::write(work.join(name), format!("{name} of {key}"))
                        .map_err(|e| CacheError::io("write", work, e))?;
                }
                CacheEntry::seal(work, metadata(version, sched_ext))
            },
        )
        .expect("publishes");
        CacheEntry::read(&dir).expect("reads back")
    }

    fn metadata(version: &str, sched_ext: bool) -> Metadata {
        Metadata {
            schema: METADATA_SCHEMA,
            version: version.into(),
            commit: None,
            release: format!("{version}-test"),
            sched_ext,
            source: "a test".into(),
            flags: BTreeMap::new(),
            packages: Vec::new(),
            modules: None,
            files: BTreeMap::new(),
        }
    }

    #[test]
    fn one_flipped_bit_in_any_file_is_found() {
        let root = tempfile::tempdir().expect("a scratch directory");
        for name in ["vmlinuz", "vmlinux", "config"] {
            let entry = plant(&Cache::at(root.path()), "6.18.15", "6.18.15", true);
            entry.verify().expect("whole");
            let path = entry.dir().join(name);
            let mut bytes = fs::read(&path).expect("readable");
            bytes[3] ^= 0x10;
            fs::write(&path, bytes).expect("writable");
            let error = entry.verify().expect_err("damaged").to_string();
            assert!(error.contains(name) && error.contains("cargo ktstr kernel fetch 6.18.15"), "{error}");
        }
    }

    #[test]
    fn a_change_whose_traces_were_wiped_is_found_although_the_files_were_good_before() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let entry = plant(&Cache::at(root.path()), "6.18.15", "6.18.15", true);
        entry.verify_touched().expect("whole");
        entry.verify_touched().expect("untouched");
        let path = entry.vmlinux();
        let modified = fs::metadata(&path).and_then(|m| m.modified()).expect("a time");
        let mut bytes = fs::read(&path).expect("readable");
        bytes[3] ^= 0x10;
        fs::write(&path, bytes).expect("writable");
        fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(modified)).expect("a time");
        assert!(entry.verify_touched().is_err());
    }

    #[test]
    fn a_truncated_or_missing_file_is_found() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let entry = plant(&Cache::at(root.path()), "7.3.4", "7.3.4", true);
        fs::write(entry.vmlinux(), "short").expect("writable");
        assert!(entry.verify().expect_err("truncated").to_string().contains("5 bytes instead of"));
        fs::remove_file(entry.vmlinuz()).expect("removable");
        assert!(entry.verify().is_err());
    }

    #[test]
    fn the_newest_is_by_version_sched_ext_first_and_never_a_damaged_one() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let cache = Cache::at(root.path());
        for (version, ext) in [("6.9.1", false), ("6.18.15", true), ("6.18.9", true), ("7.3-rc7", true), ("8.0", false)]
        {
            plant(&cache, version, version, ext);
        }
        let order: Vec<String> = cache.entries().expect("readable").iter().map(|e| e.key().to_owned()).collect();
        assert_eq!(order, ["8.0", "7.3-rc7", "6.18.15", "6.18.9", "6.9.1"]);
        let newest = cache.newest().expect("readable").expect("one");
        assert_eq!(newest.key(), "7.3-rc7");
        fs::write(newest.config(), "x").expect("writable");
        assert_eq!(cache.newest().expect("readable").expect("one").key(), "6.18.15");
    }

    #[test]
    fn metadata_of_another_schema_is_not_an_entry() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let cache = Cache::at(root.path());
        let entry = plant(&cache, "6.18", "6.18", true);
        let text = fs::read_to_string(entry.dir().join(METADATA)).expect("readable");
        fs::write(entry.dir().join(METADATA), text.replace("\"schema\": 1", "\"schema\": 99")).expect("writable");
        assert_eq!(cache.entry("6.18"), None);
        assert!(cache.entries().expect("readable").is_empty());
    }
}

//! `metadata.json` of a cached kernel.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Raised when a reader of the old shape could misread the new one.
pub const METADATA_SCHEMA: u32 = 1;

/// What is known about a cached kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// [`METADATA_SCHEMA`] of the writer.
    pub schema: u32,
    /// Upstream version, as tests name it: `6.18.15`, `7.3-rc7`.
    pub version: String,
    /// What `uname -r` says in the guest.
    pub release: String,
    /// Whether CONFIG_SCHED_CLASS_EXT is built in.
    pub sched_ext: bool,
    /// The commit that it was built from, with `-dirty` when its tree differed from that; of a tree that git knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Where it came from, for people: a suite, or a local file.
    pub source: String,
    /// The configuration flags that decide what the kernel can do here; `y`, `m` or `n`.
    pub flags: BTreeMap<String, String>,
    /// The packages that it was unpacked from.
    pub packages: Vec<PackageRecord>,
    /// The package that holds its modules, if they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<PackageRecord>,
    /// Every other file of the entry, by name.
    pub files: BTreeMap<String, FileRecord>,
}

/// One distribution package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// Its name.
    pub name: String,
    /// Its package version.
    pub version: String,
    /// Its path below the mirror's root, or the local file that it was read from.
    pub filename: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// One file of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// SHA-256 of its contents.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
}

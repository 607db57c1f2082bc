//! One record for each cell of the verifier sweep.

use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Instructions after which the kernel refuses a program (kernel: include/linux/bpf.h, `BPF_COMPLEXITY_LIMIT_INSNS`).
pub const VERIFIER_LIMIT: u64 = 1_000_000;
/// From here on a program is close enough to the limit to be warned about.
pub const VERIFIER_WARNING: u64 = VERIFIER_LIMIT / 4 * 3;

/// End of a cell record's file name.
const SUFFIX: &str = ".verifier.json";

/// What became of one scheduler on one kernel and one preset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifierRecord {
    /// Declared name of the scheduler.
    pub scheduler: String,
    /// Label of the kernel.
    pub kernel: String,
    /// Name of the preset.
    pub preset: String,
    /// The preset's shape.
    pub topology: String,
    /// `pass`, `fail`, `inconclusive` or `skip`.
    pub verdict: String,
    /// The first gate that did not open.
    pub gate: Option<String>,
    /// What the operator was told.
    pub message: String,
    /// What `root/ops` was.
    pub ops: Option<String>,
    /// Instructions that the kernel's verifier went through for each program (`bpf_prog_info.verified_insns`).
    pub verified_insns: BTreeMap<String, u64>,
    /// What the scheduler wrote; repeated blocks once unless raw logs were asked for.
    pub log: Vec<String>,
    /// Accelerator.
    pub accelerator: Option<String>,
    /// Test binary, as the runner calls it.
    pub binary: String,
    /// Start, seconds since 1970.
    pub started_unix_s: u64,
    /// Whole cell, ms.
    pub wall_ms: u64,
}

impl VerifierRecord {
    /// The same for every attempt at one cell of one binary: a retry overwrites its own.
    #[must_use]
    pub fn file_name(&self) -> String {
        let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c), "_");
        let parts = [&self.scheduler, &self.kernel, &self.preset, &self.binary].map(|part| plain(part));
        format!("{}{SUFFIX}", parts.join("__"))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// A directory or file that cannot be written.
    pub fn write(&self, dir: &Path) -> Result<PathBuf, StoreError> {
        let path = dir.join(self.file_name());
        let io = |source| StoreError::Io { path: path.clone(), source };
        fs::create_dir_all(dir).map_err(io)?;
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
        file.write_all(&serde_json::to_vec_pretty(self).map_err(|e| io(e.into()))?).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(&path).map_err(|e| io(e.error))?;
        Ok(path)
    }

    /// All cells of a directory, sorted by file name, and the names of damaged files.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn read_all(dir: &Path) -> Result<(Vec<Self>, Vec<String>), StoreError> {
        let listing = fs::read_dir(dir).map_err(|source| StoreError::Io { path: dir.to_owned(), source })?;
        let mut paths: Vec<PathBuf> =
            listing.flatten().map(|e| e.path()).filter(|p| p.to_string_lossy().ends_with(SUFFIX)).collect();
        paths.sort();
        let (mut records, mut damaged) = (Vec::new(), Vec::new());
        for path in paths {
            match fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
                Some(record) => records.push(record),
                None => damaged.push(path.display().to_string()),
            }
        }
        Ok((records, damaged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_overwrites_its_own_cell_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let cell = |preset: &str, verdict: &str| VerifierRecord {
            scheduler: "a".into(),
            kernel: "6.18".into(),
            preset: preset.into(),
            verdict: verdict.into(),
            binary: "p::t".into(),
            ..VerifierRecord::default()
        };
        cell("tiny", "fail").write(dir.path()).unwrap();
        cell("tiny", "pass").write(dir.path()).unwrap();
        cell("odd", "fail").write(dir.path()).unwrap();
        std::fs::write(dir.path().join("x.verifier.json"), "{").unwrap();
        let (records, damaged) = VerifierRecord::read_all(dir.path()).unwrap();
        let seen: Vec<_> = records.iter().map(|r| (r.preset.as_str(), r.verdict.as_str())).collect();
        assert_eq!(seen, [("odd", "fail"), ("tiny", "pass")]);
        assert_eq!(damaged.len(), 1);
    }
}

//! The end of a session that was told its token: proof that it was run to its end, and with which code.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{SystemTime, UNIX_EPOCH};

/// End of the name of such a file; no record's.
const SUFFIX: &str = ".ktstr-end.json";
/// Directories below the one that was named: `records`, a shard's, a run's.
const DEPTH: usize = 3;

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct End {
    /// The session's token.
    pub run_id: String,
    /// nextest's exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

impl End {
    /// nextest's codes for "all ran and passed" and "all ran and some failed" (nextest: "Exit codes").
    pub fn is_whole(&self) -> bool {
        matches!(self.code, Some(0 | 100))
    }
}

/// Writes it beside the session's records. Each execution has a file of its own: one that ran twice has two.
///
/// # Errors
/// A directory that cannot be written.
pub fn write(root: &Path, token: &str, status: ExitStatus) -> Result<()> {
    let end = End { run_id: token.to_owned(), code: status.code() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let name: String = token.chars().map(|c| if c == '/' { '_' } else { c }).collect();
    let path = root.join(format!("{name}-{now}{SUFFIX}"));
    std::fs::create_dir_all(root)
        .and_then(|()| std::fs::write(&path, serde_json::to_vec(&end)?))
        .with_context(|| format!("failed to write {}", path.display()))
}

/// All ends below a directory.
///
/// # Errors
/// A directory that cannot be listed, a file that is damaged.
pub fn read_all(dir: &Path) -> Result<Vec<End>> {
    let mut ends = Vec::new();
    below(dir, DEPTH, &mut |path| {
        let text = std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        ends.push(serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?);
        Ok(())
    })?;
    Ok(ends)
}

fn below(dir: &Path, depth: usize, take: &mut dyn FnMut(PathBuf) -> Result<()>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("failed to list {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
            take(entry.path())?;
        } else if depth > 0 && entry.file_type()?.is_dir() {
            below(&entry.path(), depth - 1, take)?;
        }
    }
    Ok(())
}

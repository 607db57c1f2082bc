//! Where the records lie that a question is about: the directory that was named, or those of the latest session.

use anyhow::{Context as _, Result, bail};
use ktstr_sidecar::{Fold, Scanned, scan};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One directory, or one for each kernel of a session.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// What all of them lie in, or the one.
    pub root: PathBuf,
    dirs: Vec<PathBuf>,
}

impl Place {
    /// The directory that was named, else the one that records go to, else what the latest session wrote, on all its kernels.
    ///
    /// # Errors
    /// No such directory, or no run.
    pub fn new(named: Option<&Path>) -> Result<Self> {
        let one = |dir: PathBuf| Self { dirs: vec![dir.clone()], root: dir };
        if let Some(dir) = named {
            if !dir.is_dir() {
                bail!("{} is not a directory", dir.display());
            }
            return Ok(one(dir.to_owned()));
        }
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(dir) = variable("KTSTR_SIDECAR_DIR") {
            return Ok(one(dir));
        }
        let root = variable("KTSTR_RUNS_ROOT")
            .or_else(|| Some(variable("CARGO_TARGET_DIR")?.join("ktstr")))
            .unwrap_or_else(|| PathBuf::from("target/ktstr"));
        let dirs = latest(runs(&root));
        let shown: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        match &dirs[..] {
            [] => bail!("no run lies below {}: run a test, or name a directory of records", root.display()),
            [only] => {
                eprintln!("records of the latest run: {}", shown[0]);
                Ok(one(only.clone()))
            }
            _ => {
                eprintln!("records of the latest run: {}", shown.join(", "));
                Ok(Self { root, dirs })
            }
        }
    }

    /// All records there.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn scan<T: Fold>(&self) -> Result<Scanned<T>> {
        let mut all = Scanned::<T>::default();
        for dir in &self.dirs {
            let part = scan::<T>(dir).with_context(|| format!("failed to read {}", dir.display()))?;
            all.folded.merge(part.folded);
            all.records += part.records;
            all.damaged.extend(part.damaged);
        }
        all.damaged.sort();
        Ok(all)
    }
}

/// A run's directory.
struct Run {
    dir: PathBuf,
    written: Option<SystemTime>,
    /// Token of the session that wrote there last; "" when that is not known.
    session: String,
}

fn runs(root: &Path) -> Vec<Run> {
    let below = std::fs::read_dir(root).into_iter().flatten().flatten().filter(|e| e.path().is_dir());
    below
        .map(|entry| Run {
            written: entry.metadata().and_then(|m| m.modified()).ok(),
            session: std::fs::read_to_string(entry.path().join(ktstr_sidecar::SESSION_FILE)).unwrap_or_default(),
            dir: entry.path(),
        })
        .collect()
}

/// The directory that was written last, and all others of its session, by name.
fn latest(runs: Vec<Run>) -> Vec<PathBuf> {
    let Some(newest) = runs.iter().max_by_key(|run| run.written) else { return Vec::new() };
    let (newest, session) = (newest.dir.clone(), newest.session.clone());
    let of_it = |run: &Run| run.dir == newest || !session.is_empty() && run.session == session;
    let mut dirs: Vec<PathBuf> = runs.into_iter().filter(of_it).map(|run| run.dir).collect();
    dirs.sort();
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn run(dir: &str, at: u64, session: &str) -> Run {
        Run {
            dir: dir.into(),
            written: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(at)),
            session: session.to_owned(),
        }
    }

    #[test]
    fn a_session_on_two_kernels_is_both_of_its_directories_and_no_older_one() {
        let dirs = latest(vec![run("7.3", 5, "new"), run("6.18", 4, "new"), run("6.17", 3, "old")]);
        assert_eq!(dirs, ["6.18", "7.3"].map(PathBuf::from));
        // Runs without a session belong to none.
        assert_eq!(latest(vec![run("a", 1, ""), run("b", 2, "")]), [PathBuf::from("b")]);
        assert!(latest(Vec::new()).is_empty());
    }
}

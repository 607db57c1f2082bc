//! Where the records of a run go, and who clears what an earlier session left there.

use crate::store::{SUFFIX, StoreError, TEMPORARY};
use crate::trace::TRACE_SUFFIX;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// What decides the directory; each value as its variable holds it.
#[derive(Clone, Debug, Default)]
pub struct Location {
    /// `KTSTR_SIDECAR_DIR`.
    pub sidecar_dir: Option<PathBuf>,
    /// `KTSTR_RUNS_ROOT`.
    pub runs_root: Option<PathBuf>,
    /// Cargo's target directory.
    pub target_dir: PathBuf,
    /// Label of the kernel.
    pub kernel: String,
    /// Where the session runs on several kernels, what test names call this one: its directory below `sidecar_dir`.
    pub kernel_dir: Option<String>,
    /// Commit of the project, with `-dirty`.
    pub commit: String,
    /// `KTSTR_RUN_EPOCH`.
    pub epoch: Option<String>,
}

/// File in a record directory that holds the session's token and is its lock.
pub const SESSION_FILE: &str = ".ktstr-session";

/// Beginning of a kernel's directory: that of every sanitised label.
const KERNEL: &str = "kernel_";
/// Beginning of a directory for what would replace another run's record.
pub(crate) const OTHER: &str = "as_";

/// The directory, cleared of an earlier session's records by the first writer of this one, those below it too.
///
/// Without a token nothing is cleared: a run alone cannot tell an earlier session from a later test of its own.
///
/// # Errors
/// A directory that cannot be made or locked.
pub fn record_dir(location: &Location) -> Result<PathBuf, StoreError> {
    let dir = location.sidecar_dir.clone().unwrap_or_else(|| {
        let root = location.runs_root.clone().unwrap_or_else(|| location.target_dir.join("ktstr"));
        root.join(format!("{}-{}", location.kernel, location.commit))
    });
    if let Some(epoch) = &location.epoch {
        enter(&dir, epoch).map_err(|source| StoreError::Io { path: dir.clone(), source })?;
    }
    // Below the runs root each kernel has its directory already.
    let Some(name) = location.kernel_dir.as_ref().filter(|_| location.sidecar_dir.is_some()) else { return Ok(dir) };
    let own = dir.join(name);
    mark(&own).map_err(|source| StoreError::Io { path: own.clone(), source })?;
    Ok(own)
}

/// Makes a directory that a later session may clear.
pub(crate) fn mark(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    File::options().append(true).create(true).open(dir.join(SESSION_FILE)).map(drop)
}

fn enter(dir: &Path, epoch: &str) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let path = dir.join(SESSION_FILE);
    let lock = File::options().read(true).append(true).create(true).open(&path)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if fs::read_to_string(&path)? == epoch {
        return Ok(());
    }
    clear(dir)?;
    // The same inode stays: others wait on its lock.
    fs::write(&path, epoch)
}

/// Records go, here and in what [`mark`] made; directories that anybody else made are not ours to look into.
fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A killed writer leaves its temporary file; its session is over.
        if name.ends_with(SUFFIX) || name.ends_with(TRACE_SUFFIX) || name.starts_with(TEMPORARY) {
            fs::remove_file(entry.path())?;
        } else if (name.starts_with(KERNEL) || name.starts_with(OTHER)) && entry.path().join(SESSION_FILE).is_file() {
            clear(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_writer_of_a_session_clears_and_later_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |epoch: &str| Location {
            sidecar_dir: Some(dir.path().to_owned()),
            epoch: Some(epoch.to_owned()),
            ..Location::default()
        };
        let record = dir.path().join("x.ktstr.json");
        let half = dir.path().join(".ktstr-half-1");
        let trace = dir.path().join("x.wprof.pb");
        let foreign = dir.path().join("notes.txt");
        for file in [&record, &half, &trace, &foreign] {
            fs::write(file, "{}").unwrap();
        }
        record_dir(&at("one")).unwrap();
        assert!(!record.exists() && !half.exists() && !trace.exists() && foreign.exists());
        fs::write(&record, "{}").unwrap();
        record_dir(&at("one")).unwrap();
        assert!(record.exists());
        record_dir(&at("two")).unwrap();
        assert!(!record.exists());
    }

    #[test]
    fn several_kernels_have_a_directory_each_and_the_next_session_clears_them_all_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |epoch: &str, kernel: Option<&str>| Location {
            sidecar_dir: Some(dir.path().to_owned()),
            epoch: Some(epoch.to_owned()),
            kernel_dir: kernel.map(str::to_owned),
            ..Location::default()
        };
        let first = record_dir(&at("one", Some("kernel_6_18_15"))).unwrap();
        let second = record_dir(&at("one", Some("kernel_7_3"))).unwrap();
        assert_eq!([&first, &second], [&dir.path().join("kernel_6_18_15"), &dir.path().join("kernel_7_3")]);
        let kept = dir.path().join("kernel_of_mine");
        fs::create_dir(&kept).unwrap();
        for place in [&first, &second, &kept] {
            fs::write(place.join("x.ktstr.json"), "{}").unwrap();
        }
        assert_eq!(record_dir(&at("one", Some("kernel_7_3"))).unwrap(), second);
        assert!(first.join("x.ktstr.json").exists() && second.join("x.ktstr.json").exists());
        assert_eq!(record_dir(&at("two", None)).unwrap(), dir.path());
        assert!(!first.join("x.ktstr.json").exists() && !second.join("x.ktstr.json").exists());
        assert!(kept.join("x.ktstr.json").exists());
    }

    #[test]
    fn of_many_writers_of_a_session_one_clears_and_none_loses_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let location =
            Location { sidecar_dir: Some(dir.path().to_owned()), epoch: Some("one".to_owned()), ..Location::default() };
        fs::write(dir.path().join("old.ktstr.json"), "{}").unwrap();
        std::thread::scope(|scope| {
            for writer in 0..16 {
                let location = &location;
                scope.spawn(move || {
                    let dir = record_dir(location).unwrap();
                    fs::write(dir.join(format!("{writer}.ktstr.json")), "{}").unwrap();
                });
            }
        });
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left.len(), 16 + 1, "{left:?}");
        assert!(!dir.path().join("old.ktstr.json").exists());
    }

    #[test]
    fn without_a_directory_of_its_own_a_run_goes_below_the_target_directory() {
        let location = Location {
            target_dir: "/t".into(),
            kernel: "6.18".into(),
            commit: "abc-dirty".into(),
            ..Location::default()
        };
        assert_eq!(record_dir(&location).unwrap(), Path::new("/t/ktstr/6.18-abc-dirty"));
    }
}

//! Records on disk: whole or not at all.

use crate::read::{parse, read_record};
use crate::record::SidecarRecord;
use crate::session::{OTHER, mark};
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// End of a record's file name.
pub(crate) const SUFFIX: &str = ".ktstr.json";
/// Beginning of a temporary sibling's name; no reader takes one for a record.
pub(crate) const TEMPORARY: &str = ".ktstr-half-";

/// Why a record is missing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full.
    #[error("no space for the record {path}: free some, or set KTSTR_SIDECAR_DIR to another disk")]
    Full {
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody may write there.
    #[error("the record {path} may not be written ({source}): set KTSTR_SIDECAR_DIR to a directory of yours")]
    Denied {
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("failed on the record {path}: {source}")]
    Io {
        /// The record or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

pub(crate) fn classify(path: &Path, source: io::Error) -> StoreError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full { path, source }
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreError::Denied { path, source },
        _ => StoreError::Io { path, source },
    }
}

/// Writes a record: temporary sibling, fsync, rename, fsync of the directory.
///
/// A retry replaces its own record. A run of the same session that only looks the same (the variant hash knows no binary and no
/// preset) replaces none: its record goes to a directory below.
///
/// # Errors
/// A full disk, a directory that may not be written, and so on; the older record of that name is untouched.
pub fn write_record(dir: &Path, record: &SidecarRecord) -> Result<PathBuf, StoreError> {
    let path = dir.join(record.file_name());
    let json = encode(record).map_err(|e| classify(&path, e))?;
    let file = written(dir, &path, &json)?;
    // Two may come here at once: the one that finds the place taken looks who has it.
    if let Err(taken) = file.persist_noclobber(&path) {
        if taken.error.kind() != io::ErrorKind::AlreadyExists {
            return Err(classify(&path, taken.error));
        }
        if let Some(below) = read_record(&path).ok().and_then(|there| record.aside(&there)) {
            let below = dir.join(format!("{OTHER}{below}"));
            mark(&below).map_err(|e| classify(&below, e))?;
            return write_record(&below, record);
        }
        taken.file.persist(&path).map_err(|e| classify(&path, e.error))?;
    }
    sync(dir, path)
}

/// Writes a trace of a record that lies in `dir` under this name, in the same way; the record may name it once this has returned. Without one,
/// what an earlier run of the same variant left is removed: it would be taken for this run's.
///
/// # Errors
/// As for [`write_record`].
pub fn write_trace(dir: &Path, name: &str, trace: Option<&[u8]>) -> Result<Option<PathBuf>, StoreError> {
    let path = dir.join(name);
    match trace {
        Some(bytes) => {
            written(dir, &path, bytes)?.persist(&path).map_err(|e| classify(&path, e.error))?;
            sync(dir, path).map(Some)
        }
        None => match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(classify(&path, e)),
            _ => Ok(None),
        },
    }
}

/// All of a file, beside the place that it is for.
fn written(dir: &Path, path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, StoreError> {
    let io = |e: io::Error| classify(path, e);
    fs::create_dir_all(dir).map_err(io)?;
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(dir).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    Ok(file)
}

/// A name is there for good once its directory has been written.
fn sync(dir: &Path, path: PathBuf) -> Result<PathBuf, StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| classify(&path, e))?;
    Ok(path)
}

/// JSON has no word for what is no number and writes null, which no reader takes for a number: a metric that is none is left
/// out, and whatever else cannot be read back is an error here, where somebody hears it.
fn encode(record: &SidecarRecord) -> io::Result<Vec<u8>> {
    let mut record = Cow::Borrowed(record);
    if record.metrics.values().any(|value| !value.is_finite()) {
        record.to_mut().metrics.retain(|_, value| value.is_finite());
    }
    let json = serde_json::to_vec_pretty(&*record)?;
    parse(&json).map_err(|why| io::Error::other(format!("it could not be read back: {why}")))?;
    Ok(json)
}

/// All records of a directory, sorted by file name, and the names of damaged files; no directory is no records.
///
/// # Errors
/// A directory that cannot be listed.
pub fn read_records(dir: &Path) -> Result<(Vec<SidecarRecord>, Vec<String>), StoreError> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        other => other.map_err(|e| classify(dir, e))?,
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().ends_with(SUFFIX)))
        .collect();
    paths.sort();
    let mut records = Vec::with_capacity(paths.len());
    let mut damaged = Vec::new();
    for path in paths {
        match read_record(&path) {
            Ok(record) => records.push(record),
            Err(damage) => damaged.push(damage.path.display().to_string()),
        }
    }
    Ok((records, damaged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::Verdict;
    use proptest::prelude::*;

    fn record(verdict: Verdict) -> SidecarRecord {
        SidecarRecord::new("a", "1n1l2c1t", "eevdf", verdict)
    }

    #[test]
    fn a_record_without_a_trace_leaves_none_of_an_earlier_run() {
        let dir = tempfile::tempdir().unwrap();
        let (failed, passed) = (record(Verdict::Fail), record(Verdict::Pass));
        let path = write_trace(dir.path(), &failed.trace_name(), Some(b"trace")).unwrap().unwrap();
        assert_eq!(path.file_name().unwrap().to_string_lossy(), failed.trace_name());
        assert_eq!(fs::read(&path).unwrap(), b"trace");
        assert_eq!(write_trace(dir.path(), &passed.trace_name(), None).unwrap(), None);
        assert!(!path.exists());
        assert_eq!(write_trace(dir.path(), &passed.trace_name(), None).unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_record_reads_back_with_its_verdict(pick in 0usize..4) {
            let verdict = [Verdict::Pass, Verdict::Skip, Verdict::Inconclusive, Verdict::Fail][pick];
            let dir = tempfile::tempdir().unwrap();
            write_record(dir.path(), &record(verdict)).unwrap();
            let (records, damaged) = read_records(dir.path()).unwrap();
            prop_assert_eq!(records[0].verdict(), verdict);
            prop_assert!(damaged.is_empty());
        }
    }

    proptest! {
        // Each case writes and syncs files.
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn of_one_session_each_run_has_its_record_however_much_they_look_alike(
            runs in prop::collection::vec((0u8..3, 0u8..3, 0u8..3, any::<bool>()), 1..12)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let text = |kind: &str, n: u8| (n > 0).then(|| format!("{kind}::{n}"));
            let mut last = std::collections::BTreeMap::new();
            for (binary, preset, kernel, passed) in runs {
                let verdict = if passed { Verdict::Pass } else { Verdict::Fail };
                let one = SidecarRecord {
                    binary: text("b", binary),
                    preset: text("p", preset),
                    kernel_label: text("k", kernel),
                    run_id: Some("session".to_owned()),
                    ..record(verdict)
                };
                write_record(dir.path(), &one).unwrap();
                last.insert((one.binary, one.preset, one.kernel_label), verdict);
            }
            let all = crate::scan::scan::<crate::scan::All>(dir.path()).unwrap();
            prop_assert!(all.damaged.is_empty());
            let seen: std::collections::BTreeMap<_, _> =
                all.folded.0.into_iter().map(|(_, r)| { let v = r.verdict(); ((r.binary, r.preset, r.kernel_label), v) }).collect();
            prop_assert_eq!(usize::try_from(all.records).unwrap(), last.len());
            prop_assert_eq!(seen, last);
        }
    }

    #[test]
    fn what_an_earlier_session_left_is_replaced_whoever_left_it() {
        let dir = tempfile::tempdir().unwrap();
        for (run, preset) in [("one", None), ("two", Some("tiny-1llc".to_owned()))] {
            let one = SidecarRecord { run_id: Some(run.to_owned()), preset, ..record(Verdict::Pass) };
            write_record(dir.path(), &one).unwrap();
        }
        let (records, _) = read_records(dir.path()).unwrap();
        assert!(records.len() == 1 && records[0].run_id.as_deref() == Some("two"));
    }

    #[test]
    fn a_damaged_file_is_named_and_costs_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let good = write_record(dir.path(), &record(Verdict::Pass)).unwrap();
        let text = fs::read_to_string(&good).unwrap();
        fs::write(dir.path().join("half.ktstr.json"), &text[..text.len() / 2]).unwrap();
        let (records, damaged) = read_records(dir.path()).unwrap();
        assert_eq!(records.len(), 1);
        assert!(damaged.len() == 1 && damaged[0].ends_with("half.ktstr.json"), "{damaged:?}");
    }

    #[test]
    fn a_metric_that_is_no_number_costs_itself_and_not_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let mut odd = record(Verdict::Pass);
        odd.metrics = [("nan", f64::NAN), ("inf", f64::INFINITY), ("one", 1.0)].map(|(k, v)| (k.to_owned(), v)).into();
        write_record(dir.path(), &odd).unwrap();
        let (records, damaged) = read_records(dir.path()).unwrap();
        assert!(damaged.is_empty());
        assert_eq!(records[0].metrics.keys().collect::<Vec<_>>(), ["one"]);
        let unnamed = SidecarRecord { test_name: String::new(), ..record(Verdict::Pass) };
        assert!(write_record(dir.path(), &unnamed).is_err());
        odd.overcommit = f64::NAN;
        assert!(write_record(dir.path(), &odd).is_err());
        assert_eq!(read_records(dir.path()).unwrap().0.len(), 1);
    }

    #[test]
    fn flags_that_contradict_each_other_are_no_pass() {
        let both = SidecarRecord { skipped: true, ..record(Verdict::Pass) };
        assert_eq!(both.verdict(), Verdict::Fail);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_that_says_what_to_do() {
        let text = write_record(Path::new("/proc/ktstr"), &record(Verdict::Pass)).unwrap_err().to_string();
        assert!(text.contains("/proc/ktstr"), "{text}");
        let full = classify(Path::new("/x"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(full.to_string().contains("KTSTR_SIDECAR_DIR"));
    }
}

//! All records below a directory in one pass, on all CPUs, in memory that does not grow with the number of files.

use crate::read::{Damage, read_record_with};
use crate::record::SidecarRecord;
use crate::store::{SUFFIX, StoreError, classify};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Paths that travel to a worker at once, so that they do not queue for the lock at each file.
const BATCH: usize = 64;
/// Batches that may wait: what bounds the memory of the listing.
const WAITING: usize = 16;
/// Directories below the one that was asked for: runs root, run, repeat or kernel, a twin's own.
const DEPTH: usize = 4;

/// What records are gathered into. The order of files, and who takes which, is anybody's guess: the outcome must not
/// depend on it.
pub trait Fold: Default + Send {
    /// Takes one record, and the file it came from.
    fn take(&mut self, path: &Path, record: SidecarRecord);
    /// Takes what another worker gathered.
    fn merge(&mut self, other: Self);
}

/// Every record, with the file it came from: for questions about runs, not about figures.
#[derive(Debug, Default)]
pub struct All(pub Vec<(PathBuf, SidecarRecord)>);

impl Fold for All {
    fn take(&mut self, path: &Path, record: SidecarRecord) {
        self.0.push((path.to_owned(), record));
    }

    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl All {
    /// By file: the order in which they were found is chance.
    #[must_use]
    pub fn sorted(mut self) -> Vec<(PathBuf, SidecarRecord)> {
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0
    }
}

/// What came out of a directory.
#[derive(Debug, Default)]
pub struct Scanned<T> {
    /// What the records were gathered into.
    pub folded: T,
    /// Records that were read.
    pub records: u64,
    /// Every file that is no record although its name says so, sorted.
    pub damaged: Vec<Damage>,
}

/// Reads every record below `dir`, four directories deep; no directory is no records.
///
/// # Errors
/// A directory that cannot be listed. One below it that cannot be listed counts as damaged.
pub fn scan<T: Fold>(dir: &Path) -> Result<Scanned<T>, StoreError> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (sender, receiver) = sync_channel(WAITING);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(|| work::<T>(&receiver))).collect();
        let mut lister = Lister { sender, batch: Vec::with_capacity(BATCH), damaged: Vec::new() };
        let listed = lister.list(dir, DEPTH);
        lister.send();
        let mut all: Scanned<T> = Scanned { damaged: std::mem::take(&mut lister.damaged), ..Scanned::default() };
        drop(lister);
        for handle in handles {
            let part = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.folded.merge(part.folded);
            all.records += part.records;
            all.damaged.extend(part.damaged);
        }
        all.damaged.sort();
        match listed {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(all),
            Err(e) => Err(classify(dir, e)),
            Ok(()) => Ok(all),
        }
    })
}

fn work<T: Fold>(batches: &Mutex<Receiver<Vec<PathBuf>>>) -> Scanned<T> {
    let mut part = Scanned::<T>::default();
    let mut buffer = Vec::new();
    let next = || batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(batch) = next() {
        for path in batch {
            match read_record_with(&path, &mut buffer) {
                Ok(record) => {
                    part.records += 1;
                    part.folded.take(&path, record);
                }
                Err(damage) => part.damaged.push(damage),
            }
        }
    }
    part
}

struct Lister {
    sender: SyncSender<Vec<PathBuf>>,
    batch: Vec<PathBuf>,
    damaged: Vec<Damage>,
}

impl Lister {
    fn list(&mut self, dir: &Path, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
                self.batch.push(path);
                if self.batch.len() == BATCH {
                    self.send();
                }
            } else if depth > 0
                && entry.file_type()?.is_dir()
                && let Err(e) = self.list(&path, depth - 1)
            {
                self.damaged.push(Damage { path, why: e.to_string() });
            }
        }
        Ok(())
    }

    /// A send fails only when every worker has panicked, and then the join says so.
    fn send(&mut self) {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let _ = self.sender.send(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{read_records, write_record};
    use ktstr_verdict::Verdict;

    #[test]
    fn every_record_is_seen_once_and_every_damaged_file_named_once() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..300 {
            let record = SidecarRecord::new(&format!("t{i:03}"), "1n1l2c1t", "eevdf", Verdict::Pass);
            let place = if i % 3 == 0 { dir.path().to_owned() } else { dir.path().join(format!("run/{}", i % 3)) };
            write_record(&place, &record).unwrap();
        }
        fs::write(dir.path().join("run/half.ktstr.json"), "{\"test_na").unwrap();
        fs::write(dir.path().join("other.json"), "{").unwrap();
        fs::create_dir(dir.path().join("directory.ktstr.json")).unwrap();
        let scanned = scan::<All>(dir.path()).unwrap();
        let mut names: Vec<String> = scanned.folded.sorted().into_iter().map(|(_, r)| r.test_name).collect();
        names.sort();
        assert_eq!(names, (0..300).map(|i| format!("t{i:03}")).collect::<Vec<_>>());
        assert_eq!(scanned.records, 300);
        let damaged: Vec<_> = scanned.damaged.iter().map(|d| d.path.file_name().unwrap().to_owned()).collect();
        assert_eq!(damaged, ["directory.ktstr.json", "half.ktstr.json"]);
        let (flat, _) = read_records(dir.path()).unwrap();
        assert_eq!(flat.len(), 100);
    }

    #[test]
    fn no_directory_is_no_records_and_a_file_is_an_error() {
        assert_eq!(scan::<All>(Path::new("/no/such/directory")).unwrap().records, 0);
        assert!(scan::<All>(Path::new("/proc/version")).is_err());
    }
}

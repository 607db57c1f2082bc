//! How a directory gets into the cache: complete or not at all.

use super::CacheError;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Fills a temporary sibling of `dest`, syncs it, and swaps it in, holding `dest`'s lock all the while.
///
/// `still_wanted` is asked once the lock is held: another process may have published the same thing meanwhile, and then
/// there is nothing to do. What was at `dest` before is removed after the swap, so there is no moment without an entry.
///
/// # Errors
/// What `fill` says, or a [`CacheError`]; `dest` is then as it was.
pub fn publish_dir<E: From<CacheError>>(
    dest: &Path,
    still_wanted: impl FnOnce() -> bool,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = dest.parent().unwrap_or(Path::new("."));
    let name = dest.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    fs::create_dir_all(parent).map_err(|e| CacheError::io("create", parent, e))?;
    let _lock = lock(&parent.join(format!(".{name}.lock")))?;
    if !still_wanted() {
        return Ok(());
    }
    remove_abandoned(parent, &name)?;
    let work = tempfile::Builder::new()
        .prefix(&temporary_prefix(&name))
        .tempdir_in(parent)
        .map_err(|e| CacheError::io("create a directory in", parent, e))?;
    let new = work.path().join("new");
    fs::create_dir(&new).map_err(|e| CacheError::io("create", &new, e))?;
    fill(&new)?;
    sync_tree(&new)?;
    swap_in(&new, dest)?;
    sync(parent)?;
    Ok(()) // `work` goes, and with it whatever was there before
}

fn temporary_prefix(name: &str) -> String {
    format!(".{name}.tmp-")
}

/// Takes the exclusive lock of an entry; it is released when the file is closed, also by a crash.
fn lock(path: &Path) -> Result<File, CacheError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| CacheError::io("open", path, e))?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(e) => return Err(CacheError::io("lock", path, e.into())),
        }
    }
}

/// Removes what a killed process left: under the lock nobody else can be filling one for this name.
fn remove_abandoned(parent: &Path, name: &str) -> Result<(), CacheError> {
    let prefix = temporary_prefix(name);
    for entry in fs::read_dir(parent).map_err(|e| CacheError::io("read", parent, e))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(|e| CacheError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

/// Puts `new` at `dest`; an old directory at `dest` ends up at `new`.
fn swap_in(new: &Path, dest: &Path) -> Result<(), CacheError> {
    let failed = |e: std::io::Error| CacheError::io("publish", dest, e);
    if !dest.exists() {
        return fs::rename(new, dest).map_err(failed);
    }
    match renameat_with(CWD, new, CWD, dest, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Some file systems cannot exchange: two renames then, with a short gap in between.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let aside = new.with_file_name("old");
            fs::rename(dest, &aside).map_err(failed)?;
            fs::rename(new, dest).map_err(failed)
        }
        Err(e) => Err(failed(e.into())),
    }
}

fn sync_tree(dir: &Path) -> Result<(), CacheError> {
    let mut dirs: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).map_err(|e| CacheError::io("read", &dir, e))? {
            let entry = entry.map_err(|e| CacheError::io("read", &dir, e))?;
            let kind = entry.file_type().map_err(|e| CacheError::io("inspect", &entry.path(), e))?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                sync(&entry.path())?;
            }
        }
        sync(&dir)?;
    }
    Ok(())
}

fn sync(path: &Path) -> Result<(), CacheError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| CacheError::io("sync", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path, text: &str) -> Result<(), CacheError> {
        fs::write(dir.join("file"), text).map_err(|e| CacheError::io("write", dir, e))
    }

    #[test]
    fn a_failed_fill_leaves_the_old_entry_and_no_debris() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let dest = root.path().join("6.18");
        publish_dir(&dest, || true, |d| put(d, "old")).expect("publishes");
        let failed: Result<(), CacheError> = publish_dir(
            &dest,
            || true,
            |d| {
                put(d, "half")?;
                Err(CacheError::NoHome)
            },
        );
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(dest.join("file")).expect("still there"), "old");
        publish_dir(&dest, || true, |d| put(d, "new")).expect("replaces");
        assert_eq!(fs::read_to_string(dest.join("file")).expect("replaced"), "new");
        let left: Vec<_> = fs::read_dir(root.path()).expect("readable").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left.len(), 2, "only the entry and its lock: {left:?}");
    }

    #[test]
    fn debris_of_a_killed_process_is_removed_and_a_published_entry_is_not_filled_again() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let dest = root.path().join("6.18");
        fs::create_dir_all(root.path().join(".6.18.tmp-dead/new")).expect("debris");
        publish_dir(&dest, || true, |d| put(d, "x")).expect("publishes");
        assert!(!root.path().join(".6.18.tmp-dead").exists());
        publish_dir::<CacheError>(&dest, || false, |_| panic!("must not fill")).expect("nothing to do");
    }
}

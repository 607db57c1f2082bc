//! Downloads that outlive an interrupted fetch: the next one goes on where it was.

use super::error::FetchError;
use super::index::Package;
use super::verify::check_sha256;
use crate::cache::{Cache, CacheError};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A package file with the hash that its index says, under a lock: of two that want it, one loads it.
#[derive(Debug)]
pub(super) struct Kept {
    file: PathBuf,
    lock: PathBuf,
    _held: File,
}

impl Kept {
    /// Takes what is there, or lets `download` write it, which goes on from a part (apt does).
    pub fn obtain(
        cache: &Cache,
        package: &Package,
        download: impl Fn(&Path) -> Result<(), FetchError>,
    ) -> Result<Self, FetchError> {
        let dir = cache.dir().join("downloads");
        std::fs::create_dir_all(&dir).map_err(|e| CacheError::io("create", &dir, e))?;
        // The name of a package may be used again with another content; its hash is not.
        let file = dir.join(format!("{}-{}.deb", package.name, package.sha256.get(..16).unwrap_or(&package.sha256)));
        let path = file.with_extension("lock");
        let held = hold(&path)?;
        let kept = Self { file, lock: path, _held: held };
        let whole = || check_sha256(&package.name, &kept.file, &package.sha256);
        if kept.file.is_file() {
            if whole().is_ok() {
                return Ok(kept);
            }
            match download(&kept.file) {
                Ok(()) if whole().is_ok() => return Ok(kept),
                // The part is as good as it was.
                Err(e) if e.is_offline() => return Err(e),
                _ => {}
            }
            // The part was of something else: from the beginning.
            std::fs::remove_file(&kept.file).map_err(|e| CacheError::io("remove", &kept.file, e))?;
        }
        download(&kept.file)?;
        if let Err(e) = whole() {
            let _ = std::fs::remove_file(&kept.file);
            return Err(e);
        }
        Ok(kept)
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// It has become what it was for.
    pub fn done(self) {
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_file(&self.lock);
    }
}

/// The exclusive lock of a file that its holder may remove: who waited for one that is gone takes the next.
fn hold(path: &Path) -> Result<File, CacheError> {
    loop {
        let lock = File::options().create(true).truncate(false).write(true).open(path);
        let lock = lock.map_err(|e| CacheError::io("open", path, e))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| CacheError::io("lock", path, e.into()))?;
        let held = lock.metadata().map_err(|e| CacheError::io("read", path, e))?;
        if std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::sha256_hex;
    use std::cell::Cell;

    fn package(content: &[u8]) -> Package {
        Package { name: "p".into(), sha256: sha256_hex(content), ..Package::default() }
    }

    fn fails(_: &Path) -> Result<(), FetchError> {
        Err(FetchError::Offline { url: "u".into(), said: "cut".into() })
    }

    #[test]
    fn an_interrupted_download_goes_on_from_its_part_and_a_whole_one_is_not_loaded_again() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let (cache, content) = (Cache::at(root.path()), b"first half, second half");
        let half =
            |file: &Path| std::fs::write(file, &content[..11]).map_err(|_| FetchError::NoArchive).and(fails(file));
        assert!(Kept::obtain(&cache, &package(content), half).is_err());
        assert!(Kept::obtain(&cache, &package(content), fails).is_err(), "still offline");
        let more = |file: &Path| {
            let mut there = std::fs::read(file).expect("the part is still there");
            assert_eq!(there, content[..11]);
            there.extend(&content[11..]);
            std::fs::write(file, there).map_err(|_| FetchError::NoArchive)
        };
        let kept = Kept::obtain(&cache, &package(content), more).expect("goes on");
        assert_eq!(std::fs::read(kept.file()).expect("there"), content);
        drop(kept);
        Kept::obtain(&cache, &package(content), |_| panic!("it is whole")).expect("whole").done();
        let left = std::fs::read_dir(root.path().join("downloads")).expect("there").count();
        assert_eq!(left, 0, "neither the file nor its lock");
        assert!(Kept::obtain(&cache, &package(content), fails).is_err(), "it is gone once it is used");
    }

    #[test]
    fn who_waited_for_a_lock_that_was_removed_takes_the_next_one() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let path = root.path().join("p.lock");
        let first = hold(&path).expect("free");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| hold(&path));
            std::fs::remove_file(&path).expect("there");
            let second = hold(&path).expect("another file");
            drop((first, second));
            waiter.join().expect("no panic").expect("its turn");
        });
        assert!(path.exists(), "the waiter's own");
    }

    #[test]
    fn a_part_of_something_else_is_thrown_away_and_a_wrong_file_is_never_kept() {
        let root = tempfile::tempdir().expect("a scratch directory");
        let (cache, content) = (Cache::at(root.path()), b"right");
        let write =
            |text: &'static [u8]| move |file: &Path| std::fs::write(file, text).map_err(|_| FetchError::NoArchive);
        assert!(Kept::obtain(&cache, &package(content), write(b"wrong")).is_err());
        let tries = Cell::new(0);
        let stubborn = |file: &Path| {
            tries.set(tries.get() + 1);
            // A server that takes the part for whole adds nothing to it.
            if file.exists() { Ok(()) } else { write(b"right")(file) }
        };
        let dir = root.path().join("downloads");
        let name = format!("p-{}.deb", &sha256_hex(content)[..16]);
        std::fs::write(dir.join(name), b"of another").expect("writable");
        Kept::obtain(&cache, &package(content), stubborn).expect("from the beginning");
        assert_eq!(tries.get(), 2);
    }
}

//! Fetching and listing, from the request to the cache.

use super::apt::download;
use super::candidate::Candidate;
use super::catalogue;
use super::entry::{Source, store};
use super::error::FetchError;
use super::index::Package;
use super::kept::Kept;
use super::local::fetch_file;
use super::request::{Request, choose};
use crate::cache::{Cache, CacheEntry, CacheError, PackageRecord};
use crate::progress::Progress;

/// Whether a kernel has `sched_ext`, as far as is known without fetching it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedExt {
    /// Its configuration, which is in the cache, says so.
    Yes,
    /// Its configuration, which is in the cache, denies it.
    No,
    /// Kernels of this distribution and version have it; its configuration was not read.
    Expected,
    /// Kernels of this distribution and version do not have it; its configuration was not read.
    NotExpected,
}

/// One kernel that can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Upstream version.
    pub version: String,
    /// `uname -r`.
    pub release: String,
    /// Suite it is in.
    pub suite: String,
    /// Whether it has `sched_ext`.
    pub sched_ext: SchedExt,
    /// Whether it is in the cache.
    pub cached: bool,
}

/// Everything the archive offers whole, oldest first.
///
/// # Errors
/// An archive that cannot be reached or trusted.
pub fn list(progress: &dyn Progress) -> Result<Vec<Listed>, FetchError> {
    let cache = Cache::open()?;
    let work = work_dir(&cache)?;
    let found = catalogue::read(work.path(), progress)?;
    Ok(found.kernels.iter().filter(|c| c.is_complete()).map(|c| listed(&cache, c)).collect())
}

fn listed(cache: &Cache, c: &Candidate) -> Listed {
    let entry = cache.entry(&c.version).filter(|e| e.metadata().release == c.release);
    let sched_ext = match &entry {
        Some(entry) if entry.metadata().sched_ext => SchedExt::Yes,
        Some(_) => SchedExt::No,
        None if c.expects_sched_ext() => SchedExt::Expected,
        None => SchedExt::NotExpected,
    };
    Listed {
        version: c.version.clone(),
        release: c.release.clone(),
        suite: c.suite.clone(),
        sched_ext,
        cached: entry.is_some(),
    }
}

/// The kernel that answers `request` ("" for the newest with `sched_ext`): from the cache when an undamaged entry does, else
/// from the archive.
///
/// # Errors
/// A request that nothing answers, an archive that cannot be reached or trusted, a cache that cannot be written.
pub fn fetch(request: &str, progress: &dyn Progress) -> Result<CacheEntry, FetchError> {
    let parsed = Request::parse(request)?;
    let cache = Cache::open()?;
    if let Request::File(path) = &parsed {
        return fetch_file(&cache, path);
    }
    if let Some(entry) = in_cache(&cache, &parsed, progress)? {
        return Ok(entry);
    }
    let work = work_dir(&cache)?;
    let found = catalogue::read(work.path(), progress)?;
    let chosen = choose(&found.kernels, &parsed, request)?;
    let mut kept = Vec::new();
    for package in chosen.packages() {
        progress.step(&format!("package {} {}", package.name, package.version));
        let url = format!("{}/{}", found.target.site.trim_end_matches('/'), package.filename);
        kept.push(Kept::obtain(&cache, package, |file| download(&url, file, package.size, progress))?);
    }
    let files = kept.iter().map(|k| k.file().to_owned()).collect();
    progress.step(&format!("unpacking kernel {}", chosen.version));
    let entry = store(
        &cache,
        &Source {
            version: chosen.version.clone(),
            source: chosen.suite.clone(),
            packages: chosen.packages().into_iter().map(record).collect(),
            modules: chosen.modules.as_ref().map(record),
            files,
        },
    )?;
    kept.into_iter().for_each(Kept::done);
    Ok(entry)
}

/// The newest undamaged entry that answers; a damaged one is named and fetched again.
fn in_cache(cache: &Cache, request: &Request, progress: &dyn Progress) -> Result<Option<CacheEntry>, FetchError> {
    let mut newest: Option<CacheEntry> = None;
    for entry in cache.entries()? {
        let meta = entry.metadata();
        let answers = match request {
            Request::Newest => meta.sched_ext && !meta.version.contains("-rc"),
            Request::Backports => meta.sched_ext && meta.source.ends_with("-backports"),
            Request::Revision(wanted) => meta.release == *wanted || meta.release.starts_with(&format!("{wanted}-")),
            _ => request.accepts_version(&meta.version),
        };
        if !answers {
            continue;
        }
        if let Err(e) = entry.verify() {
            progress.note(&e.to_string());
            continue;
        }
        let key = |e: &CacheEntry| crate::version::decompose_version_for_compare(&e.metadata().version);
        if newest.as_ref().is_none_or(|held| key(held) < key(&entry)) {
            newest = Some(entry);
        }
    }
    Ok(newest)
}

fn record(package: &Package) -> PackageRecord {
    PackageRecord {
        name: package.name.clone(),
        version: package.version.clone(),
        filename: package.filename.clone(),
        sha256: package.sha256.clone(),
        size: package.size,
    }
}

/// A directory for downloads, beside what they become; gone when the fetch ends, however it ends.
fn work_dir(cache: &Cache) -> Result<tempfile::TempDir, CacheError> {
    let dir = cache.dir();
    std::fs::create_dir_all(dir).map_err(|e| CacheError::io("create", dir, e))?;
    tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(dir)
        .map_err(|e| CacheError::io("create a directory in", dir, e))
}

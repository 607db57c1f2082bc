//! Any package of the archive by its name, for what the cache does not hold: a stock kernel of another flavour, say.

use super::apt::download;
use super::catalogue;
use super::deb::each_file;
use super::error::FetchError;
use super::verify::check_sha256;
use crate::cache::CacheError;
use crate::progress::Progress;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Unpacks the regular files of package `name` that `keep` wants into `dir`, which appears whole or not at all.
///
/// # Errors
/// An archive that cannot be reached or trusted, one without such a package, or a directory that cannot be written.
pub fn unpack(name: &str, dir: &Path, keep: impl Fn(&str) -> bool, progress: &dyn Progress) -> Result<(), FetchError> {
    whole(dir, "move the unpacked package to", |work, tree| {
        let (target, found) = catalogue::find(name, work, progress)?;
        let package = found.ok_or_else(|| FetchError::Package {
            path: PathBuf::from(name),
            why: "the archive does not offer it; refresh apt's lists, or take another kernel".into(),
        })?;
        progress.step(&format!("package {} {}", package.name, package.version));
        let file = work.join("package.deb");
        let url = format!("{}/{}", target.site.trim_end_matches('/'), package.filename);
        download(&url, &file, package.size, progress)?;
        check_sha256(&package.name, &file, &package.sha256)?;
        each_file(&file, |path, content| if keep(path) { put(tree, path, content) } else { Ok(()) })
    })
}

/// `dir` with what `fill` has put into the tree that it is given, beside a directory for what comes before; all of it, or no `dir`.
/// `moving` is what an error calls the last step.
pub(super) fn whole<T>(
    dir: &Path,
    moving: &'static str,
    fill: impl FnOnce(&Path, &Path) -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let parent = dir.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|e| CacheError::io("create", parent, e))?;
    let work = tempfile::tempdir_in(parent).map_err(|e| CacheError::io("create a directory in", parent, e))?;
    let tree = work.path().join("tree");
    let filled = fill(work.path(), &tree)?;
    std::fs::rename(&tree, dir).map_err(|e| CacheError::io(moving, dir, e))?;
    Ok(filled)
}

/// Writes a file of an archive below `tree`. Nothing may leave the directory, signed or not.
pub(super) fn put(tree: &Path, path: &str, content: &mut dyn Read) -> io::Result<()> {
    if !Path::new(path).components().all(|c| matches!(c, Component::Normal(_))) {
        return Ok(());
    }
    let to = tree.join(path);
    std::fs::create_dir_all(to.parent().unwrap_or(tree))?;
    io::copy(content, &mut std::fs::File::create(&to)?)?;
    Ok(())
}

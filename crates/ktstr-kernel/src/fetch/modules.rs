//! Loadable modules of a cached kernel, on demand: its package is fetched again, checked against the hash that the entry
//! recorded, and only what was asked for is kept.

use super::apt::{download, series, target};
use super::deb::each_file;
use super::error::FetchError;
use super::verify::check_sha256;
use crate::cache::{Cache, CacheEntry, CacheError};
use crate::progress::Progress;
use std::io::{Read, Write as _};
use std::path::PathBuf;

/// Directory of the cache that holds modules, uncompressed, below the key of their kernel.
const MODULES: &str = "modules";

/// Paths of the modules `names` (such as `kvm-amd`) of a kernel in the cache, in the order asked for.
///
/// # Errors
/// An entry that was not fetched from an archive, an archive that cannot be reached, a package that is not the recorded one,
/// or one without such a module.
pub fn modules(entry: &CacheEntry, names: &[&str], progress: &dyn Progress) -> Result<Vec<PathBuf>, FetchError> {
    let dir = Cache::open()?.dir().join(MODULES).join(entry.key());
    let path_of = |name: &str| dir.join(format!("{name}.ko"));
    let mut missing: Vec<&str> = names.iter().copied().filter(|n| !path_of(n).exists()).collect();
    if missing.is_empty() {
        return Ok(names.iter().map(|n| path_of(n)).collect());
    }
    let meta = entry.metadata();
    let package = meta.modules.as_ref().or_else(|| meta.packages.first()).ok_or_else(|| FetchError::Package {
        path: entry.dir().to_owned(),
        why: "it was not fetched from an archive, so its modules are unknown".into(),
    })?;
    std::fs::create_dir_all(&dir).map_err(|e| CacheError::io("create", &dir, e))?;
    let work = tempfile::tempdir_in(&dir).map_err(|e| CacheError::io("create a directory in", &dir, e))?;
    let file = work.path().join("package.deb");
    let found = target(&series()?)?;
    progress.step(&format!("package {} {} for {}", package.name, package.version, missing.join(", ")));
    let url = format!("{}/{}", found.site.trim_end_matches('/'), package.filename);
    download(&url, &file, package.size, progress)?;
    check_sha256(&package.name, &file, &package.sha256)?;
    each_file(&file, |path, content| {
        let Some(at) = missing.iter().position(|name| module_name(path) == Some(*name)) else {
            return Ok(());
        };
        let name = missing.swap_remove(at);
        let mut bytes = Vec::new();
        if path.ends_with(".xz") {
            xz2::read::XzDecoder::new(content).read_to_end(&mut bytes)?;
        } else if path.ends_with(".zst") {
            zstd::Decoder::new(content)?.read_to_end(&mut bytes)?;
        } else {
            content.read_to_end(&mut bytes)?;
        }
        let mut out = tempfile::NamedTempFile::new_in(&dir)?;
        out.write_all(&bytes)?;
        out.persist(path_of(name)).map_err(|e| e.error)?;
        Ok(())
    })?;
    match missing.first() {
        Some(name) => {
            Err(FetchError::Package { path: PathBuf::from(&package.name), why: format!("it holds no module {name}") })
        }
        None => Ok(names.iter().map(|n| path_of(n)).collect()),
    }
}

/// `kvm-amd` for `lib/modules/RELEASE/kernel/arch/x86/kvm/kvm-amd.ko.xz`.
fn module_name(path: &str) -> Option<&str> {
    let (_, inside) = path.split_once("lib/modules/")?;
    let file = inside.rsplit('/').next()?;
    Some(file.split_once(".ko")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_known_by_its_file_below_the_modules_directory() {
        let path = "usr/lib/modules/6.18.15+deb13-cloud-amd64/kernel/arch/x86/kvm/kvm-amd.ko.xz";
        assert_eq!(module_name(path), Some("kvm-amd"));
        assert_eq!(module_name("boot/config-6.18"), None);
        assert_eq!(module_name("lib/modules/6.18/modules.dep"), None);
    }
}

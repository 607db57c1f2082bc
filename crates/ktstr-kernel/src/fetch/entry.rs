//! From packages to an entry of the cache.

use super::deb::each_file;
use super::error::FetchError;
use crate::cache::{Cache, CacheEntry, CacheError, METADATA_SCHEMA, Metadata, PackageRecord, publish_dir};
use crate::config::{flags, has_sched_ext};
use crate::image::{decompress_bzimage, kernel_release};
use std::path::{Path, PathBuf};

/// What an entry is made from.
pub(super) struct Source {
    pub version: String,
    pub source: String,
    pub packages: Vec<PackageRecord>,
    pub modules: Option<PackageRecord>,
    pub files: Vec<PathBuf>,
}

/// Unpacks image and configuration, decompresses the kernel, and publishes the entry; a damaged one is replaced.
pub(super) fn store(cache: &Cache, source: &Source) -> Result<CacheEntry, FetchError> {
    let dest = cache.kernels_dir().join(&source.version);
    let wanted = || CacheEntry::read(&dest).and_then(|e| e.verify()).is_err();
    publish_dir(&dest, wanted, |dir| fill(dir, source))?;
    Ok(CacheEntry::read(&dest)?)
}

fn fill(dir: &Path, source: &Source) -> Result<(), FetchError> {
    let (mut image, mut config) = (None, None);
    for file in &source.files {
        each_file(file, |path, content| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let slot = if name == "vmlinuz" || name.starts_with("vmlinuz-") {
                &mut image
            } else if path.starts_with("boot/config-") || name == "config" && path.contains("lib/modules/") {
                &mut config
            } else {
                return Ok(());
            };
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            *slot = Some(bytes);
            Ok(())
        })?;
    }
    let missing = |what: &str| FetchError::Package {
        path: source.files.first().cloned().unwrap_or_default(),
        why: format!("it holds no {what}"),
    };
    let image = image.ok_or_else(|| missing("kernel image"))?;
    let config = config.ok_or_else(|| missing("kernel configuration"))?;
    let release = kernel_release(&image).ok_or_else(|| missing("kernel release in its image"))?;
    let metadata = Metadata {
        schema: METADATA_SCHEMA,
        version: source.version.clone(),
        release,
        source: source.source.clone(),
        packages: source.packages.clone(),
        modules: source.modules.clone(),
        ..Metadata::default()
    };
    write_entry(dir, &image, &config, metadata)
}

/// The files of an entry, and `metadata` completed by what they say.
pub(crate) fn write_entry(dir: &Path, image: &[u8], config: &[u8], metadata: Metadata) -> Result<(), FetchError> {
    let vmlinux = decompress_bzimage(image)?;
    let text = String::from_utf8_lossy(config);
    for (name, bytes) in [("vmlinuz", image), ("vmlinux", &vmlinux), ("config", config)] {
        let path = dir.join(name);
        std::fs::write(&path, bytes).map_err(|e| CacheError::io("write", &path, e))?;
    }
    Ok(CacheEntry::seal(dir, Metadata { sched_ext: has_sched_ext(&text), flags: flags(&text), ..metadata })?)
}

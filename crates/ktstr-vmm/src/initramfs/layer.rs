//! The immutable part of an initramfs: program, libraries, schedulers, kernel configuration; kept by content.

use super::cpio::Writer;
use super::elf_deps::shared_libraries;
use super::index;
use super::strip::without_debug_sections;
use anyhow::{Context as _, Result};
use ktstr_wire::GUEST_MARKER;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What goes into the layer.
#[derive(Clone, Debug)]
pub struct BaseSpec {
    /// The program that becomes /init, without its debug information.
    pub init: PathBuf,
    /// Host files and the absolute paths they get in the guest; programs bring their libraries.
    pub extra: Vec<(PathBuf, String)>,
    /// Texts and the absolute paths they get in the guest.
    pub texts: Vec<(String, String)>,
    /// The kernel's configuration and its release: becomes /boot/config-RELEASE, where libbpf looks for it.
    pub kernel_config: Option<(PathBuf, String)>,
}

/// Layout of the layer; part of its key, so that a newer harness never takes an older one's layer.
const LAYOUT: &str = "ktstr-initramfs-3";

/// Layers kept before the least recently used go.
const KEEP: usize = 16;

/// Indexes kept before the oldest go: each layer may have come of several lists of files.
const KEEP_INDEXES: usize = 256;

/// A temporary file of this age belongs to a process that was killed while it wrote.
const DEAD_AFTER: Duration = Duration::from_secs(3600);

/// The archive of `spec`, made once for each content and kept in `cache`.
///
/// # Errors
/// Files that cannot be read, libraries that are missing, or a cache that cannot be written.
pub fn build_base_layer(spec: &BaseSpec, cache: &Path) -> Result<PathBuf> {
    if let Some(layer) = index::find(spec, LAYOUT, cache) {
        touch(&layer);
        return Ok(layer);
    }
    let mut files: BTreeMap<String, (u32, Vec<u8>)> = BTreeMap::new();
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("failed to read {}", path.display()));
    let declared = spec.extra.iter().map(|(host, _)| host).chain(spec.kernel_config.iter().map(|(path, _)| path));
    // Before anything is read: a file that changes meanwhile has another stamp next time.
    let own_stamps = index::stamps(std::iter::once(&spec.init).chain(declared).map(PathBuf::as_path));
    let init = read(&spec.init)?;
    let mut programs = vec![spec.init.clone()];
    for (host, guest) in &spec.extra {
        let content = read(host)?;
        if content.starts_with(b"\x7fELF") {
            programs.push(host.clone());
        }
        files.insert(guest.clone(), (mode_of(host), content));
    }
    for (text, guest) in &spec.texts {
        files.insert(guest.clone(), (0o644, text.clone().into_bytes()));
    }
    let mut libraries = BTreeMap::new();
    for program in &programs {
        libraries.extend(shared_libraries(program)?);
    }
    let library_stamps = index::stamps(libraries.values().map(PathBuf::as_path));
    let stamps = own_stamps.zip(library_stamps).map(|(own, libraries)| [own, libraries].concat());
    let remember = |layer: &Path| {
        if let Some(stamps) = stamps {
            index::remember(spec, LAYOUT, cache, layer, stamps);
        }
    };
    for (guest, host) in libraries {
        files.insert(guest, (0o755, read(&host)?));
    }
    if let Some((path, release)) = &spec.kernel_config {
        files.insert(format!("/boot/config-{release}"), (0o644, read(path)?));
    }
    let path = cache.join(format!("{}.cpio", key(&init, &files)));
    if path.exists() {
        touch(&path);
        remember(&path);
        return Ok(path);
    }
    let mut archive = Writer::new();
    for directory in ["/proc", "/sys", "/dev", "/tmp", "/run", "/root"] {
        archive.directory(directory);
    }
    archive.file(GUEST_MARKER, 0o444, b"");
    archive.file("/init", 0o755, &without_debug_sections(&init));
    for (guest, (mode, content)) in &files {
        archive.file(guest, *mode, content);
    }
    publish(&path, &archive.finish(), cache)?;
    evict(cache);
    remember(&path);
    Ok(path)
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).map_or(0o644, |m| m.permissions().mode() & 0o777)
}

fn key(init: &[u8], files: &BTreeMap<String, (u32, Vec<u8>)>) -> String {
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(LAYOUT.as_bytes());
    field(init);
    for (guest, (mode, content)) in files {
        field(guest.as_bytes());
        field(&mode.to_le_bytes());
        field(content);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Temporary sibling, then rename: another process sees all of it or nothing.
fn publish(path: &Path, content: &[u8], cache: &Path) -> Result<()> {
    let what = || format!("failed to write {}: is the disk full? KTSTR_CACHE_DIR moves the cache", path.display());
    std::fs::create_dir_all(cache).with_context(what)?;
    let mut file = tempfile::NamedTempFile::new_in(cache).with_context(what)?;
    file.write_all(content).with_context(what)?;
    file.persist(path).map_err(|e| e.error).with_context(what)?;
    Ok(())
}

fn touch(path: &Path) {
    if let Ok(file) = std::fs::File::open(path) {
        // Only the order of eviction hangs on it.
        let _ = file.set_modified(std::time::SystemTime::now());
    }
}

/// Removes what is past its number, oldest first, and what killed processes have left.
fn evict(cache: &Path) {
    let mut layers = Vec::new();
    let mut indexes = Vec::new();
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let Some(modified) = entry.metadata().ok().and_then(|m| m.modified().ok()) else { continue };
        let path = entry.path();
        match path.extension().and_then(|x| x.to_str()) {
            Some("cpio") => layers.push((modified, path)),
            Some("index") => indexes.push((modified, path)),
            _ if modified.elapsed().is_ok_and(|age| age > DEAD_AFTER) => drop(std::fs::remove_file(path)),
            _ => {}
        }
    }
    for (mut files, keep) in [(layers, KEEP), (indexes, KEEP_INDEXES)] {
        files.sort();
        let surplus = files.len().saturating_sub(keep);
        for (_, path) in files.drain(..surplus) {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_touched_is_read_again_and_one_that_is_not_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let extra = dir.path().join("note");
        std::fs::write(&extra, "one").unwrap();
        let spec = BaseSpec {
            init: std::env::current_exe().unwrap(),
            extra: vec![(extra.clone(), "/note".into())],
            texts: Vec::new(),
            kernel_config: None,
        };
        let cache = dir.path().join("cache");
        let first = build_base_layer(&spec, &cache).unwrap();
        assert_eq!(index::find(&spec, LAYOUT, &cache), Some(first.clone()));
        std::fs::write(&extra, "one").unwrap();
        assert_eq!(index::find(&spec, LAYOUT, &cache), None);
        assert_eq!(build_base_layer(&spec, &cache).unwrap(), first);
        std::fs::remove_file(&first).unwrap();
        assert_eq!(index::find(&spec, LAYOUT, &cache), None);
    }

    #[test]
    fn layers_past_their_number_and_what_killed_processes_left_go_and_a_writer_s_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let old = |name: &str, age: Duration| {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - age).unwrap();
        };
        for i in 0..=KEEP {
            old(&format!("{i}.cpio"), Duration::from_secs(u64::try_from(i).unwrap()));
        }
        for i in 0..=KEEP_INDEXES {
            old(&format!("{i}.index"), Duration::from_secs(u64::try_from(i).unwrap()));
        }
        old(".tmpdead", DEAD_AFTER + Duration::from_secs(60));
        old(".tmpalive", Duration::ZERO);
        evict(dir.path());
        let there = |name: &str| dir.path().join(name).exists();
        assert!(!there(".tmpdead") && there(".tmpalive"));
        assert!(!there(&format!("{KEEP}.cpio")) && !there(&format!("{KEEP_INDEXES}.index")));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), KEEP + KEEP_INDEXES + 1);
    }

    /// What a simulated machine unpacks must be the same bytes wherever and whenever it was packed.
    #[test]
    fn when_its_files_were_written_and_in_which_order_they_came_does_not_show_in_a_layer() {
        let dir = tempfile::tempdir().unwrap();
        let layer = |age_s: u64, reversed: bool| {
            let mut extra = Vec::new();
            for name in ["b", "a", "c"] {
                let path = dir.path().join(name);
                std::fs::write(&path, name).unwrap();
                let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age_s);
                std::fs::File::open(&path).unwrap().set_modified(then).unwrap();
                extra.push((path, format!("/{name}")));
            }
            if reversed {
                extra.reverse();
            }
            let init = std::env::current_exe().unwrap();
            let spec = BaseSpec { init, extra, texts: Vec::new(), kernel_config: None };
            let made = build_base_layer(&spec, &dir.path().join(format!("cache-{age_s}"))).unwrap();
            std::fs::read(made).unwrap()
        };
        assert!(layer(0, false) == layer(86_400, true), "two packings of the same files differ");
    }

    #[test]
    fn a_layer_is_made_once_and_changes_with_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let extra = dir.path().join("note");
        std::fs::write(&extra, "one").unwrap();
        let spec = BaseSpec {
            init: std::env::current_exe().unwrap(),
            extra: vec![(extra.clone(), "/note".into())],
            texts: Vec::new(),
            kernel_config: None,
        };
        let cache = dir.path().join("cache");
        let first = build_base_layer(&spec, &cache).unwrap();
        assert_eq!(build_base_layer(&spec, &cache).unwrap(), first);
        std::fs::write(&extra, "two").unwrap();
        assert_ne!(build_base_layer(&spec, &cache).unwrap(), first);
        let files = |end: &str| {
            let names = std::fs::read_dir(&cache).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            names.filter(|n| n.ends_with(end)).count()
        };
        assert_eq!((files(".cpio"), files(".index"), files("")), (2, 1, 3), "no temporary file is left");
    }
}

//! Which layer came of which files, so that a layer whose files nobody touched is found without reading them.

use super::layer::BaseSpec;
use ktstr_kernel::cache::{file_stamp, sha256_hex};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What the dynamic linker goes by; a library that moves is a change of it.
const LINKER_CACHE: &str = "/etc/ld.so.cache";

#[derive(Serialize, Deserialize)]
struct Index {
    layer: String,
    /// Path and stamp of every file that went in.
    files: Vec<(PathBuf, String)>,
}

fn path_of(spec: &BaseSpec, layout: &str, cache: &Path) -> PathBuf {
    cache.join(format!("{}.index", sha256_hex(format!("{layout} {spec:?}").as_bytes())))
}

/// The layer of this very spec, when all its files are what they were.
pub(super) fn find(spec: &BaseSpec, layout: &str, cache: &Path) -> Option<PathBuf> {
    let index: Index = serde_json::from_slice(&std::fs::read(path_of(spec, layout, cache)).ok()?).ok()?;
    let untouched = index.files.iter().all(|(path, stamp)| file_stamp(path).as_ref() == Some(stamp));
    let layer = cache.join(index.layer);
    (untouched && layer.exists()).then_some(layer)
}

/// Remembers the layer; `stamps` were taken before the files were read. What cannot be written is looked up the long way.
pub(super) fn remember(spec: &BaseSpec, layout: &str, cache: &Path, layer: &Path, files: Vec<(PathBuf, String)>) {
    let Some(name) = layer.file_name() else { return };
    let index = Index { layer: name.to_string_lossy().into_owned(), files };
    if let (Ok(json), Ok(mut file)) = (serde_json::to_vec(&index), tempfile::NamedTempFile::new_in(cache)) {
        use std::io::Write as _;
        if file.write_all(&json).is_ok() {
            let _ = file.persist(path_of(spec, layout, cache));
        }
    }
}

/// Stamps of the files, `None` when one cannot be looked at.
pub(super) fn stamps<'a>(files: impl Iterator<Item = &'a Path>) -> Option<Vec<(PathBuf, String)>> {
    let linker = Path::new(LINKER_CACHE);
    files.chain(linker.exists().then_some(linker)).map(|path| Some((path.to_owned(), file_stamp(path)?))).collect()
}

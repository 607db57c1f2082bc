//! Debian packages: an `ar` archive with a compressed `tar` in it (deb(5)).

use super::error::FetchError;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Calls `take` with each regular file of the package, its path without a leading `./`.
pub(super) fn each_file(
    package: &Path,
    mut take: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> Result<(), FetchError> {
    let bad = |why: String| FetchError::Package { path: package.to_owned(), why };
    let file = File::open(package).map_err(|e| bad(e.to_string()))?;
    let mut archive = ar::Archive::new(file);
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(|e| bad(format!("it is no Debian package: {e}")))?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let data: Box<dyn Read + '_> = match name.trim_end_matches('/') {
            "data.tar.xz" => Box::new(xz2::read::XzDecoder::new(member)),
            "data.tar.zst" => Box::new(zstd::Decoder::new(member).map_err(|e| bad(e.to_string()))?),
            "data.tar.gz" => Box::new(flate2::read::GzDecoder::new(member)),
            "data.tar" => Box::new(member),
            _ => continue,
        };
        return each_in_tar(data, &mut take).map_err(|e| bad(e.to_string()));
    }
    Err(bad("it holds no data".into()))
}

/// Calls `take` with each regular file of a `.tar.xz`, and its path.
pub(super) fn each_file_of_tar_xz(
    archive: &Path,
    mut take: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> Result<(), FetchError> {
    let bad = |e: io::Error| FetchError::Package { path: archive.to_owned(), why: e.to_string() };
    each_in_tar(xz2::read::XzDecoder::new(File::open(archive).map_err(bad)?), &mut take).map_err(bad)
}

fn each_in_tar(data: impl Read, take: &mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>) -> io::Result<()> {
    for entry in tar::Archive::new(data).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let path = entry.path()?.to_string_lossy().into_owned();
            take(path.trim_start_matches("./"), &mut entry)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_package_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "not a package").expect("writes");
        assert!(matches!(each_file(file.path(), |_, _| Ok(())), Err(FetchError::Package { .. })));
    }
}

//! The upstream source of a package, for tools that the archive offers only as that.

use super::apt::download;
use super::catalogue;
use super::deb::each_file_of_tar_xz;
use super::error::FetchError;
use super::index::{Package, is_safe_path};
use super::package::{put, whole};
use super::release::is_sha256;
use super::stanza::stanzas;
use super::verify::check_sha256;
use crate::progress::Progress;
use std::path::{Path, PathBuf};

/// How the file is called that holds what upstream published.
const UPSTREAM: &str = ".orig.tar.xz";

/// Unpacks the regular files of the upstream source of package `name` that `keep` wants into `dir`, which appears whole or not at
/// all, without the archive's own top directory. The answer says which source it was.
///
/// # Errors
/// An archive that cannot be reached or trusted, one without such a source, or a directory that cannot be written.
pub fn unpack_source(
    name: &str,
    dir: &Path,
    keep: impl Fn(&str) -> bool,
    progress: &dyn Progress,
) -> Result<Package, FetchError> {
    whole(dir, "move the unpacked source to", |work, tree| {
        let (target, found) = catalogue::find_upstream(name, work, progress)?;
        let source = found.ok_or_else(|| FetchError::Package {
            path: PathBuf::from(name),
            why: format!("the archive offers no {UPSTREAM} of it; run `apt-get update` and repeat"),
        })?;
        progress.step(&format!("source {} {}", source.name, source.version));
        let file = work.join("source.tar.xz");
        let url = format!("{}/{}", target.site.trim_end_matches('/'), source.filename);
        download(&url, &file, source.size, progress)?;
        check_sha256(&source.filename, &file, &source.sha256)?;
        progress.step(&format!("unpacking {}", source.name));
        each_file_of_tar_xz(&file, |path, content| match path.split_once('/') {
            Some((_, inside)) if keep(inside) => put(tree, inside, content),
            _ => Ok(()),
        })?;
        Ok(source)
    })
}

/// The upstream archive of the source of this name, if the list has it whole.
pub(super) fn find_source(text: &str, name: &str) -> Option<Package> {
    stanzas(text).filter(|s| s.get("Package") == Some(name)).find_map(|s| {
        let (sha256, size, file) = s.get("Checksums-Sha256")?.lines().find_map(|line| {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                [sha256, size, file] if file.ends_with(UPSTREAM) => Some((sha256, size, file)),
                _ => None,
            }
        })?;
        let filename = format!("{}/{file}", s.get("Directory")?);
        (is_sha256(sha256) && is_safe_path(&filename)).then_some(())?;
        Some(Package {
            name: name.to_owned(),
            version: s.get("Version")?.to_owned(),
            depends: String::new(),
            filename,
            size: size.parse().ok()?,
            sha256: sha256.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stanza(name: &str, files: &str) -> String {
        format!(
            "Package: {name}\nBinary: {name}, {name}-common\nVersion: 1.2-3\nFiles:\n 00 5 {name}_1.2.orig.tar.xz\n\
             Checksums-Sha256:\n{files}Directory: pool/main/x/{name}\n\n"
        )
    }

    fn files(name: &str) -> String {
        let hash = |text: &str| crate::cache::sha256_hex(text.as_bytes());
        format!(
            " {} 1000 {name}_1.2-3.dsc\n {} 5000 {name}_1.2.orig.tar.xz\n {} 70 {name}_1.2-3.debian.tar.xz\n",
            hash("dsc"),
            hash("orig"),
            hash("debian")
        )
    }

    #[test]
    fn the_upstream_archive_is_found_with_its_sha256_and_not_the_md5() {
        let text = [stanza("other", &files("other")), stanza("tool", &files("tool"))].concat();
        let found = find_source(&text, "tool").expect("one");
        assert_eq!(found.filename, "pool/main/x/tool/tool_1.2.orig.tar.xz");
        assert_eq!((found.version.as_str(), found.size), ("1.2-3", 5000));
        assert_eq!(found.sha256, crate::cache::sha256_hex(b"orig"));
        assert_eq!(find_source(&text, "tool-common"), None);
    }

    #[test]
    fn a_source_that_is_packed_otherwise_or_leaves_the_mirror_is_none() {
        let good = stanza("tool", &files("tool"));
        assert!(find_source(&good, "tool").is_some());
        assert!(find_source(&good.replace(".orig.tar.xz", ".orig.tar.gz"), "tool").is_none());
        assert!(find_source(&good.replace("pool/main", "../main"), "tool").is_none());
        assert!(find_source(&good.replace(&crate::cache::sha256_hex(b"orig"), "00"), "tool").is_none());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(Package: tool\n|Checksums-Sha256:\n| [0-9a-f]{64} [0-9]{1,4} [a-z./]{1,9}orig.tar.xz\n|[ -~\n]{0,60}){0,6}") {
            let _ = find_source(&text, "tool");
        }
    }
}

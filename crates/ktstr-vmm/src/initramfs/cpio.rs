//! newc archives (kernel: Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;

/// File type bits of a directory (`S_IFDIR`).
const DIRECTORY: u32 = 0o040_000;
/// File type bits of a regular file (`S_IFREG`).
const REGULAR: u32 = 0o100_000;
/// File type bits of a symbolic link (`S_IFLNK`).
const LINK: u32 = 0o120_000;

/// Writes one archive; parent directories come by themselves. Times and owners are zero, so equal content is equal bytes.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    directories: BTreeSet<String>,
    inode: u32,
}

impl Writer {
    /// An empty archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory and those above it.
    pub fn directory(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || !self.directories.insert(path.to_owned()) {
            return;
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.entry(path, DIRECTORY | 0o755, &[]);
    }

    /// Adds a regular file with these permission bits.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.parents(path);
        self.entry(path.trim_start_matches('/'), REGULAR | mode, content);
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entry(path.trim_start_matches('/'), LINK | 0o777, target.as_bytes());
    }

    fn parents(&mut self, path: &str) {
        if let Some((parent, _)) = path.trim_start_matches('/').rsplit_once('/') {
            self.directory(parent);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        let size = content.len();
        let name_size = name.len() + 1;
        let inode = self.inode;
        // magic, ino, mode, uid, gid, nlink, mtime, filesize, dev major, minor, rdev major, minor, namesize, check
        let header = format!(
            "070701{inode:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}",
            0, 0, 1, 0, 0, 0, 0, 0, 0
        );
        self.out.extend_from_slice(header.as_bytes());
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(0);
        self.align();
        self.out.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        let aligned = self.out.len().next_multiple_of(4);
        self.out.resize(aligned, 0);
    }

    /// The archive with its trailer.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(archive: &[u8]) -> Vec<(String, usize)> {
        let hex = |at: usize| usize::from_str_radix(std::str::from_utf8(&archive[at..at + 8]).unwrap(), 16).unwrap();
        let mut out = Vec::new();
        let mut at = 0;
        while at < archive.len() {
            assert_eq!(&archive[at..at + 6], b"070701");
            let (size, name_size) = (hex(at + 54), hex(at + 94));
            let name = std::str::from_utf8(&archive[at + 110..at + 110 + name_size - 1]).unwrap();
            out.push((name.to_owned(), size));
            at = ((at + 110 + name_size).next_multiple_of(4) + size).next_multiple_of(4);
        }
        out
    }

    proptest! {
        #[test]
        fn every_file_is_found_again_with_its_parents_before_it(files in prop::collection::btree_map(
            "[a-z]{1,4}(/[a-z]{1,4}){0,3}x", prop::collection::vec(any::<u8>(), 0..40), 0..12,
        )) {
            let mut writer = Writer::new();
            for (path, content) in &files {
                writer.file(path, 0o644, content);
            }
            let found = names(&writer.finish());
            for (path, content) in &files {
                let at = found.iter().position(|f| *f == (path.clone(), content.len())).unwrap();
                if let Some((parent, _)) = path.rsplit_once('/') {
                    prop_assert!(found[..at].iter().any(|f| f.0 == parent));
                }
            }
            prop_assert_eq!(&found.last().unwrap().0, "TRAILER!!!");
        }
    }
}

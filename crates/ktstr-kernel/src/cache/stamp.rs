//! Whether a file was touched.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Device, inode, size, and the times of the last change of content and of inode, to the nanosecond: a file whose stamp is
/// what it was holds what it held. The kernel sets the last of the times, and no program can set it back (inode(7)).
///
/// `None` when the file cannot be looked at.
#[must_use]
pub fn file_stamp(path: &Path) -> Option<String> {
    let m = fs::metadata(path).ok()?;
    let (changed, inode_changed) = ((m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec()));
    Some(format!("{} {} {} {changed:?} {inode_changed:?}", m.dev(), m.ino(), m.size()))
}

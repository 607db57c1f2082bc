//! BPF maps of a scheduler, pinned where a test can open them (bpf(2); kernel: kernel/bpf/inode.c).

use anyhow::{Context as _, Result, bail, ensure};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Where pins are made.
const PINS: &str = "/sys/fs/bpf/ktstr";
/// Bytes of a map's name without its NUL (include/uapi/linux/bpf.h, `BPF_OBJ_NAME_LEN`).
const NAME_BYTES: usize = 15;
/// Commands of bpf(2) (include/uapi/linux/bpf.h, `enum bpf_cmd`).
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// A pinned map; dropping it takes the pin away.
#[derive(Debug)]
pub struct PinnedMap {
    path: PathBuf,
}

impl Drop for PinnedMap {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        // Of several pins the last one takes the directory with it.
        let _ = fs::remove_dir(PINS);
    }
}

/// A name that the kernel could have for a map.
pub fn check_name(map: &str) -> Result<()> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    ensure!(
        (1..=NAME_BYTES).contains(&map.len()) && map.bytes().all(known),
        "`{map}` is no name of a BPF map: the kernel has 1 to {NAME_BYTES} letters, digits, `_` and `.`, as bpftool shows them"
    );
    Ok(())
}

/// Where a map of this name is pinned; bpffs has no names with dots (kernel/bpf/inode.c, `bpf_lookup`).
pub fn pin_path(map: &str) -> PathBuf {
    Path::new(PINS).join(map.replace('.', "_"))
}

/// Pins the map of this name that a process holds.
pub fn pin(pid: u32, map: &str) -> Result<PinnedMap> {
    check_name(map)?;
    let held = held_by(pid).with_context(|| format!("failed to read the open files of process {pid}"))?;
    let mut named = Vec::new();
    for id in held {
        let fd = by_id(id).with_context(|| format!("failed to open BPF map {id}"))?;
        named.push((name_of(&fd).with_context(|| format!("failed to ask BPF map {id} for its name"))?, fd));
    }
    let names = || named.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let mut found = named.iter().filter(|(name, _)| name == map);
    let fd = match (found.next(), found.next()) {
        (Some((_, fd)), None) => fd,
        (None, _) => bail!("the scheduler has no BPF map `{map}`; it has {}", names()),
        (Some(_), Some(_)) => bail!("the scheduler has several BPF maps `{map}`: {}", names()),
    };
    let path = pin_path(map);
    fs::create_dir_all(PINS).with_context(|| format!("failed to make {PINS}: is bpffs mounted?"))?;
    pin_at(fd, &path).with_context(|| format!("failed to pin the BPF map `{map}` at {}", path.display()))?;
    Ok(PinnedMap { path })
}

/// Numbers of the maps that a process has open, each once (kernel/bpf/syscall.c, `bpf_map_show_fdinfo`).
fn held_by(pid: u32) -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // What was closed in between is held no more.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        ids.extend(map_id(&text));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Links and programs have other lines.
fn map_id(fdinfo: &str) -> Option<u32> {
    let of_a_map = fdinfo.lines().any(|line| line.starts_with("map_type:"));
    fdinfo.lines().find_map(|line| line.strip_prefix("map_id:")?.trim().parse().ok()).filter(|_| of_a_map)
}

/// `union bpf_attr` of the three commands, with room for the longest.
#[repr(C, align(8))]
#[derive(Default)]
struct Attr([u32; 6]);

/// `struct bpf_map_info` up to its name.
#[repr(C, align(8))]
#[derive(Default)]
struct MapInfo {
    numbers: [u32; 6],
    name: [u8; NAME_BYTES + 1],
}

fn by_id(id: u32) -> io::Result<OwnedFd> {
    let fd = bpf(BPF_MAP_GET_FD_BY_ID, &mut Attr([id, 0, 0, 0, 0, 0]))?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn name_of(map: &OwnedFd) -> io::Result<String> {
    let mut info = MapInfo::default();
    let size = u32::try_from(size_of::<MapInfo>()).unwrap_or(0);
    let [low, high] = halves(&raw mut info as u64);
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut Attr([number(map), size, low, high, 0, 0]))?;
    let name = info.name.split(|b| *b == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn pin_at(map: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let [low, high] = halves(path.as_ptr() as u64);
    bpf(BPF_OBJ_PIN, &mut Attr([low, high, number(map), 0, 0, 0])).map(drop)
}

fn number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// A word of 64 bits where the layout has two of 32.
#[allow(clippy::cast_possible_truncation, reason = "each half is what is meant")]
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// The call; what `attr` points to must live across it.
fn bpf(command: libc::c_int, attr: &mut Attr) -> io::Result<i32> {
    // SAFETY: the kernel reads the given number of bytes of `attr`; the addresses in it are of a path that it only reads, or of
    // an info whose size stands beside it, and both live in the caller's frame.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<Attr>()) };
    i32::try_from(done).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_told_from_a_link_and_a_program_by_what_is_open() {
        let map = "pos:\t0\nflags:\t02000002\nmap_type:\t2\nkey_size:\t4\nmap_id:\t31\nfrozen:\t0\n";
        assert_eq!(map_id(map), Some(31));
        let link = "pos:\t0\nlink_type:\tstruct_ops\nlink_id:\t4\nprog_tag:\t0\nprog_id:\t0\nmap_id:\t31\n";
        assert_eq!(map_id(link), None);
        assert_eq!(map_id("prog_type:\t27\nprog_id:\t9\n"), None);
    }

    #[test]
    fn a_name_that_no_map_can_have_is_refused_and_dots_are_not_pinned() {
        for bad in ["", "a/b", "..//x", "a name", "longer_than_fifteen"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(pin_path("ktstr_bp.bss"), Path::new("/sys/fs/bpf/ktstr/ktstr_bp_bss"));
    }

    #[test]
    fn a_process_without_maps_has_none_to_pin() {
        let text = format!("{:#}", pin(std::process::id(), "cpu_ctx").unwrap_err());
        assert!(text.contains("the scheduler has no BPF map `cpu_ctx`"), "{text}");
    }
}

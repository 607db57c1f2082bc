//! What the kernel knows of the BPF programs in it: what its verifier went through, and what their calls cost (bpf(2)).

use anyhow::{Result, bail};
use ktstr_wire::ProgramSeen;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// Commands of bpf(2) (kernel: include/uapi/linux/bpf.h, `enum bpf_cmd`).
const PROG_GET_NEXT_ID: libc::c_long = 11;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
/// Since Linux 5.8.
const ENABLE_STATS: libc::c_long = 32;
/// Its only kind (`enum bpf_stats_type`).
const BPF_STATS_RUN_TIME: u32 = 0;

/// `struct bpf_prog_info` up to and with `verified_insns` (Linux 5.16); the kernel fills as much as is asked for.
#[repr(C)]
#[derive(Default)]
struct ProgInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; 16],
    ifindex: u32,
    gpl_compatible: u32,
    netns: [u64; 2],
    nr_ksyms: [u32; 2],
    ksyms: [u64; 2],
    btf_id: u32,
    func_info_rec_size: u32,
    func_info: u64,
    nr_func_info: u32,
    nr_line_info: u32,
    line_info: [u64; 2],
    line_info_sizes: [u32; 3],
    nr_prog_tags: u32,
    prog_tags: u64,
    run_time_ns: u64,
    run_cnt: u64,
    recursion_misses: u64,
    verified_insns: u32,
    _pad: u32,
}

/// What the kernel says of each program that was loaded after the one with this id, by name (the kernel keeps 15 characters): of
/// those with one name the most instructions, and all calls.
///
/// # Errors
/// A kernel that does not answer.
pub fn loaded_after(id: u32) -> Result<BTreeMap<String, ProgramSeen>> {
    let mut all: BTreeMap<String, ProgramSeen> = BTreeMap::new();
    let mut id = id;
    while let Some(next) = next_id(id)? {
        id = next;
        // One that went in between is no longer of interest.
        let Some(program) = open(id)? else { continue };
        let info = info(program.as_raw_fd())?;
        let end = info.name.iter().position(|b| *b == 0).unwrap_or(info.name.len());
        let name = String::from_utf8_lossy(&info.name[..end]).into_owned();
        let name = if name.is_empty() { format!("program {id}") } else { name };
        let seen = all.entry(name).or_default();
        seen.verified_insns = u64::from(info.verified_insns).max(seen.verified_insns);
        seen.calls += info.run_cnt;
        seen.ns += info.run_time_ns;
    }
    Ok(all)
}

/// The id of the program that was loaded last; 0 where there is none, or the kernel does not say.
pub fn last_id() -> u32 {
    let mut last = 0;
    while let Ok(Some(id)) = next_id(last) {
        last = id;
    }
    last
}

/// Has the kernel count the calls of all programs and the time they take, until the answer is dropped; `None` where it does not.
#[must_use]
pub fn count_calls() -> Option<OwnedFd> {
    let mut attributes = [BPF_STATS_RUN_TIME];
    let fd = bpf(ENABLE_STATS, &mut attributes).ok()?;
    // SAFETY: the call returned a new descriptor that nobody else has.
    Some(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd).ok()?) })
}

fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are as long as they are said to be, and live until the call returns.
    let got = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got) }
}

fn next_id(after: u32) -> Result<Option<u32>> {
    let mut attributes = [after, 0, 0];
    match bpf(PROG_GET_NEXT_ID, &mut attributes) {
        Ok(_) => Ok(Some(attributes[1])),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(e) => bail!("the kernel does not list its BPF programs: {e}"),
    }
}

fn open(id: u32) -> Result<Option<OwnedFd>> {
    let mut attributes = [id, 0, 0];
    match bpf(PROG_GET_FD_BY_ID, &mut attributes) {
        // SAFETY: the call returned a new descriptor that nobody else has.
        Ok(fd) => Ok(Some(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd)?) })),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(e) => bail!("BPF program {id} cannot be opened: {e}"),
    }
}

fn info(program: RawFd) -> Result<ProgInfo> {
    #[repr(C)]
    struct Attributes {
        fd: u32,
        length: u32,
        info: u64,
    }
    let mut info = ProgInfo::default();
    let length = u32::try_from(size_of::<ProgInfo>())?;
    let address = std::ptr::from_mut(&mut info).expose_provenance() as u64;
    let mut attributes = Attributes { fd: u32::try_from(program)?, length, info: address };
    match bpf(OBJ_GET_INFO_BY_FD, &mut attributes) {
        Ok(_) if attributes.length >= 220 => Ok(info),
        Ok(_) => bail!("this kernel does not count verified instructions: it is older than 5.16"),
        Err(e) => bail!("the kernel says nothing about a BPF program: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn the_structure_is_the_kernel_s() {
        // As pahole shows struct bpf_prog_info.
        assert_eq!(offset_of!(ProgInfo, name), 64);
        assert_eq!(offset_of!(ProgInfo, ksyms), 112);
        assert_eq!(offset_of!(ProgInfo, btf_id), 128);
        assert_eq!(offset_of!(ProgInfo, prog_tags), 184);
        assert_eq!(offset_of!(ProgInfo, run_time_ns), 192);
        assert_eq!(offset_of!(ProgInfo, verified_insns), 216);
    }
}

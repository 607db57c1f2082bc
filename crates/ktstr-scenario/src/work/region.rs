//! A piece of memory, as words that any number of processes may touch at once.

use crate::worker::Fault;
use rustix::io;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Words of a cache line.
const LINE: usize = 8;
/// `MPOL_MF_MOVE` (kernel: include/uapi/linux/mempolicy.h); libc does not have it.
const MPOL_MF_MOVE: u32 = 1 << 1;
/// Pages asked about at once.
const BATCH: usize = 256;

/// A mapping of whole pages, unmapped on drop.
pub struct Region {
    base: *mut c_void,
    bytes: usize,
}

impl Region {
    /// Seen by all processes forked from here on.
    pub fn shared(bytes: usize) -> io::Result<Self> {
        Self::map(bytes, MapFlags::SHARED)
    }

    /// The calling worker's own: not there before it asks, so that its memory policy holds.
    pub fn private(kib: u32) -> Result<Self, Fault> {
        let bytes = kib as usize * 1024;
        Self::map(bytes, MapFlags::PRIVATE).map_err(|e| Fault::new("mmap of KiB", i64::from(kib), e))
    }

    fn map(bytes: usize, flags: MapFlags) -> io::Result<Self> {
        let bytes = bytes.next_multiple_of(PAGE).max(PAGE);
        // SAFETY: a fresh anonymous mapping at an address the kernel picks; nothing else refers to it.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        Ok(Self { base, bytes })
    }

    /// All of it.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, zeroed (valid for atomics), `bytes` long, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.base.cast::<AtomicU64>(), self.bytes / size_of::<AtomicU64>()) }
    }

    /// Pages of 4 KiB.
    pub const fn pages(&self) -> usize {
        self.bytes / PAGE
    }

    /// Writes one word of each cache line.
    pub fn walk(&self) {
        for word in self.words().iter().step_by(LINE) {
            word.store(word.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    /// Writes one word of a page.
    pub fn touch_page(&self, page: usize) {
        if let Some(word) = self.words().get(page % self.pages() * (PAGE / size_of::<u64>())) {
            word.store(word.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    /// Every page by itself: no huge page, which would be one fault for 512.
    pub fn without_huge_pages(&self) {
        // A kernel without huge pages does not know the advice, and needs none.
        // SAFETY: the advice changes no content.
        let _ = unsafe { madvise(self.base, self.bytes, Advice::LinuxNoHugepage) };
    }

    /// Gives all pages back; the next touch of each is a fault, and reads zero.
    pub fn forget(&self) -> Result<(), Fault> {
        // SAFETY: the mapping is this value's own, and its words are zero afterwards, valid for atomics.
        unsafe { madvise(self.base, self.bytes, Advice::LinuxDontNeed) }
            .map_err(|e| Fault::new("madvise(MADV_DONTNEED)", 0, e))
    }

    /// Asks the kernel to have the pages on one node and to move those that are elsewhere (mbind(2)).
    pub fn move_to(&self, node: u32) -> Result<(), Fault> {
        let mut mask = [0u64; 16];
        if let Some(word) = mask.get_mut(node as usize / 64) {
            *word = 1 << (node % 64);
        }
        // SAFETY: the kernel reads 1024 bits of the mask, which lives across the call, and moves pages of this mapping.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                self.base,
                self.bytes,
                libc::MPOL_BIND,
                mask.as_ptr(),
                mask.len() * 64 + 1,
                MPOL_MF_MOVE,
            )
        };
        if result < 0 { Err(Fault::last("mbind to node", i64::from(node))) } else { Ok(()) }
    }

    /// How many of its pages lie on this node, and how many anywhere (move_pages(2)); none on a kernel without nodes.
    pub fn pages_on(&self, node: i32) -> (u64, u64) {
        let (mut local, mut total) = (0, 0);
        for first in (0..self.pages()).step_by(BATCH) {
            let count = (self.pages() - first).min(BATCH);
            let mut pages = [std::ptr::null_mut::<c_void>(); BATCH];
            for (page, i) in pages.iter_mut().zip(first..) {
                *page = self.base.wrapping_byte_add(i * PAGE);
            }
            let mut nodes = [-1i32; BATCH];
            let none = std::ptr::null::<i32>();
            // SAFETY: without a list of nodes nothing is moved; the kernel reads `count` addresses and writes `count`
            // numbers, and both arrays are at least that long.
            let asked =
                unsafe { libc::syscall(libc::SYS_move_pages, 0, count, pages.as_ptr(), none, nodes.as_mut_ptr(), 0) };
            if asked != 0 {
                continue;
            }
            for &on in nodes.iter().take(count) {
                total += u64::from(on >= 0);
                local += u64::from(on == node);
            }
        }
        (local, total)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `base` and `bytes` are the mapping that `map` made, and no reference outlives `self`.
        let _ = unsafe { munmap(self.base, self.bytes) };
    }
}

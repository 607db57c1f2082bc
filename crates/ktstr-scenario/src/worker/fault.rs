//! A system call that failed in a worker, told to its parent.

use rustix::io::Errno;
use std::fmt;
use std::sync::atomic::{
    AtomicI64, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Bytes of a call's name that travel.
const NAME: usize = 48;

/// What failed in a worker, why, and with which value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    what: &'static str,
    value: i64,
    errno: i32,
}

/// What has no error number of its own: something its parent prepares is missing.
const MISSING: i32 = libc::ENXIO;

impl Fault {
    /// A call that has failed with this error.
    pub const fn new(what: &'static str, value: i64, errno: Errno) -> Self {
        Self { what, value, errno: errno.raw_os_error() }
    }

    /// A call of libc that has just failed.
    pub fn last(what: &'static str, value: i64) -> Self {
        Self { what, value, errno: std::io::Error::last_os_error().raw_os_error().unwrap_or(MISSING) }
    }

    /// Something that should have been prepared.
    pub const fn missing(what: &'static str) -> Self {
        Self { what, value: 0, errno: MISSING }
    }

    /// Whether it is this error.
    pub const fn is(&self, errno: Errno) -> bool {
        self.errno == errno.raw_os_error()
    }

    /// Whether the kernel does not know, or no longer has, what was named.
    pub const fn is_invalid(&self) -> bool {
        self.errno == libc::EINVAL
    }

    /// Whether the kernel wants a privilege for it.
    pub const fn is_forbidden(&self) -> bool {
        self.errno == libc::EPERM || self.errno == libc::EACCES
    }
}

/// Place of a fault in shared memory; written once, by the worker.
pub(super) struct FaultSlot {
    name: [AtomicU64; NAME / 8],
    value: AtomicI64,
    /// Zero while there is none.
    errno: AtomicU32,
}

impl FaultSlot {
    pub(super) fn store(&self, fault: &Fault) {
        for (word, bytes) in self.name.iter().zip(fault.what.as_bytes().chunks(8)) {
            let mut eight = [0; 8];
            for (to, from) in eight.iter_mut().zip(bytes) {
                *to = *from;
            }
            word.store(u64::from_ne_bytes(eight), Relaxed);
        }
        self.value.store(fault.value, Relaxed);
        self.errno.store(fault.errno.unsigned_abs(), Release);
    }

    pub(super) fn load(&self) -> Option<Told> {
        let errno = self.errno.load(Acquire);
        let name: Vec<u8> = self.name.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
        let what = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
        let errno = i32::try_from(errno).unwrap_or(MISSING);
        (errno != 0).then_some(Told { what, value: self.value.load(Relaxed), errno })
    }
}

/// A fault as the parent reads it.
pub(super) struct Told {
    what: String,
    value: i64,
    errno: i32,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = std::io::Error::from_raw_os_error(self.errno);
        write!(f, "{} {} failed: {error}", self.what, self.value)?;
        if self.errno == libc::EPERM || self.errno == libc::EACCES {
            f.write_str("; it needs a privilege: run as root, or in a machine instead of on the host")?;
        }
        Ok(())
    }
}

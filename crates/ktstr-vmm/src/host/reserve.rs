//! Host CPUs for one machine alone: one lock file for each CPU, held for as long as the machine lives.
//!
//! The kernel lets go of a lock when its holder ends, however it ends, so nothing has to be cleaned up. The files stay: they are
//! names, and whoever removed one would let two holders of the same name exist.

use super::HostLlc;
use anyhow::{Context as _, Result};
use ktstr_verdict::{PerfModeUnavailable, ResourceContention};
use rustix::fs::{FlockOperation, flock};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Everybody may add a name, nobody may remove another's: what /tmp has.
const DIRECTORY_MODE: u32 = 0o1777;

/// A last-level cache of the guest: where its memory is, and how many CPUs share it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestLlc {
    /// Host node that its memory is taken from.
    pub node: u32,
    /// CPUs.
    pub cpus: u32,
}

/// Host CPUs that no other reservation holds, one for each CPU of the guest; free again when dropped.
#[derive(Debug)]
pub(crate) struct Reservation(Vec<Held>);

#[derive(Debug)]
struct Held {
    cpu: u32,
    // The lock is the open file's.
    _lock: File,
}

/// A CPU that somebody else holds.
struct Busy {
    cpu: u32,
    file: PathBuf,
}

impl Reservation {
    /// Host CPUs in the order of the guest's CPUs.
    pub fn cpus(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|h| h.cpu)
    }

    /// Takes as many host CPUs as the guest has, or none: each cache of the guest in a host cache of its own, near its memory,
    /// where such are free; else any CPUs, those that share a cache together.
    ///
    /// # Errors
    /// [`PerfModeUnavailable`] when there are too few CPUs, [`ResourceContention`] when too few are free.
    pub fn take(dir: &Path, guest: &[GuestLlc], host: &[HostLlc]) -> Result<Self> {
        let all: BTreeSet<u32> = host.iter().flat_map(|llc| &llc.cpus).copied().collect();
        let wanted = guest.iter().map(|llc| llc.cpus as usize).sum::<usize>();
        if wanted > all.len() {
            return Err(anyhow::Error::new(PerfModeUnavailable::new(format!(
                "the machine has {wanted} CPUs and this process may use {} of the host's; each guest CPU needs one of its own: \
                 choose a smaller topology or a larger host",
                all.len()
            ))));
        }
        create(dir)?;
        if let Some(held) = whole_llcs(dir, guest, host)? {
            return Ok(Self(held));
        }
        let mut seen = BTreeSet::new();
        let in_order = host.iter().flat_map(|llc| &llc.cpus).copied().filter(|&cpu| seen.insert(cpu));
        let (held, busy) = take_of(dir, in_order, wanted)?;
        match busy {
            Some(Busy { cpu, file }) if held.len() < wanted => {
                Err(anyhow::Error::new(ResourceContention::new(format!(
                    "the machine needs {wanted} host CPUs of its own and {} are free; host CPU {cpu}, for one, is reserved by another \
                     run (lock file {})",
                    held.len(),
                    file.display()
                ))))
            }
            _ => Ok(Self(held)),
        }
    }
}

/// Each cache of the guest in a host cache of its own; `None` when that cannot be, and then nothing is held.
fn whole_llcs(dir: &Path, guest: &[GuestLlc], host: &[HostLlc]) -> Result<Option<Vec<Held>>> {
    let mut unused: Vec<&HostLlc> = host.iter().collect();
    let mut all = Vec::new();
    for llc in guest {
        let wanted = llc.cpus as usize;
        // Stable: in the host's order within both groups.
        unused.sort_by_key(|h| h.node != llc.node);
        let mut found = None;
        for (at, candidate) in unused.iter().enumerate().filter(|(_, h)| h.cpus.len() >= wanted) {
            let (held, _) = take_of(dir, candidate.cpus.iter().copied(), wanted)?;
            if held.len() == wanted {
                all.extend(held);
                found = Some(at);
                break;
            }
        }
        match found {
            Some(at) => unused.remove(at),
            None => return Ok(None),
        };
    }
    Ok(Some(all))
}

/// The first `wanted` of these CPUs that are free, or as many as are; and the first that is not.
fn take_of(dir: &Path, cpus: impl Iterator<Item = u32>, wanted: usize) -> Result<(Vec<Held>, Option<Busy>)> {
    let mut held = Vec::new();
    let mut busy = None;
    for cpu in cpus {
        if held.len() == wanted {
            break;
        }
        let file = dir.join(format!("cpu{cpu}.lock"));
        let lock = open(&file).with_context(|| refused(&file))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => held.push(Held { cpu, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => busy = busy.or(Some(Busy { cpu, file })),
            Err(e) => return Err(anyhow::Error::new(e).context(refused(&file))),
        }
    }
    Ok((held, busy))
}

fn refused(path: &Path) -> String {
    format!("cannot lock {}; name a directory of your own with KTSTR_LOCK_DIR", path.display())
}

/// Reading is enough for a lock, so a file of another user's serves as well.
fn open(path: &Path) -> std::io::Result<File> {
    let existing = || OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    match existing() {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => existing(),
                other => other,
            }
        }
        other => other,
    }
}

fn create(dir: &Path) -> Result<()> {
    if !dir.is_dir() {
        std::fs::create_dir_all(dir).with_context(|| refused(dir))?;
        // Not ours to change where another user's run was quicker, which has done the same.
        let _ = std::fs::set_permissions(dir, Permissions::from_mode(DIRECTORY_MODE));
    }
    Ok(())
}

/// Binds the calling thread to one host CPU.
pub(crate) fn pin(cpu: u32) -> std::io::Result<()> {
    let number = cpu as usize;
    if number >= CpuSet::MAX_CPU {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(number);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::allowed_cpus;
    use ktstr_verdict::{HostClass, classify_host_error};
    use proptest::prelude::*;

    fn host(llcs: &[u32], per_node: usize) -> Vec<HostLlc> {
        let mut next = 0;
        let node = |at: usize| u32::try_from(at / per_node).unwrap();
        let llc = |(at, &size): (usize, &u32)| {
            let cpus = (next..next + size).collect();
            next += size;
            HostLlc { node: node(at), cpus }
        };
        llcs.iter().enumerate().map(llc).collect()
    }

    fn guest(llcs: &[u32]) -> Vec<GuestLlc> {
        llcs.iter().map(|&cpus| GuestLlc { node: 0, cpus }).collect()
    }

    fn skip_reason(e: &anyhow::Error) -> String {
        match classify_host_error(e, false) {
            HostClass::Skip { reason } => reason,
            other => panic!("{other:?}: {e:#}"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_two_takers_hold_the_same_cpu_and_who_is_refused_holds_none(
            llcs in prop::collection::vec(1u32..6, 1..4),
            takers in prop::collection::vec((prop::collection::vec(1u32..4, 1..4), any::<bool>()), 1..8),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let host = host(&llcs, 1);
            let cpus: usize = llcs.iter().map(|&c| c as usize).sum();
            let mut held: Vec<Reservation> = Vec::new();
            for (wanted, leave) in takers {
                let number = wanted.iter().map(|&c| c as usize).sum::<usize>();
                let used: usize = held.iter().map(|r| r.cpus().count()).sum();
                match Reservation::take(dir.path(), &guest(&wanted), &host) {
                    Ok(reservation) => {
                        prop_assert_eq!(reservation.cpus().count(), number);
                        held.push(reservation);
                    }
                    Err(e) => {
                        prop_assert!(number > cpus - used, "{} of {cpus} are used: {e:#}", used);
                        skip_reason(&e);
                    }
                }
                let all: Vec<u32> = held.iter().flat_map(Reservation::cpus).collect();
                prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
                if leave {
                    held.pop();
                }
            }
            held.clear();
            prop_assert!(Reservation::take(dir.path(), &guest(&[u32::try_from(cpus).unwrap()]), &host).is_ok());
        }
    }

    #[test]
    fn a_guest_s_cache_gets_a_host_s_cache_near_its_memory() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = [GuestLlc { node: 1, cpus: 2 }, GuestLlc { node: 0, cpus: 2 }, GuestLlc { node: 1, cpus: 1 }];
        let first = Reservation::take(dir.path(), &wanted, &host(&[2, 4, 4, 2], 2)).unwrap();
        assert_eq!(first.cpus().collect::<Vec<_>>(), [6, 7, 0, 1, 10]);
        // The caches that are whole are too few now; what is free is taken in order.
        let second = Reservation::take(dir.path(), &guest(&[4, 2]), &host(&[2, 4, 4, 2], 2)).unwrap();
        assert_eq!(second.cpus().collect::<Vec<_>>(), [2, 3, 4, 5, 8, 9]);
    }

    #[test]
    fn a_cpu_that_is_reserved_is_named_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let locks = dir.path().join("made/when/missing");
        let host = host(&[2], 1);
        let first = Reservation::take(&locks, &guest(&[1]), &host).unwrap();
        let refused = skip_reason(&Reservation::take(&locks, &guest(&[2]), &host).unwrap_err());
        assert!(refused.contains("host CPU 0") && refused.contains("made/when/missing/cpu0.lock"), "{refused}");
        drop(first);
        assert!(Reservation::take(&locks, &guest(&[2]), &host).is_ok());
    }

    #[test]
    fn more_guest_cpus_than_host_cpus_are_no_measurement() {
        let dir = tempfile::tempdir().unwrap();
        let e = Reservation::take(dir.path(), &guest(&[2, 2]), &host(&[3], 1)).unwrap_err();
        assert!(e.downcast_ref::<PerfModeUnavailable>().is_some());
        assert!(skip_reason(&e).contains("has 4 CPUs and this process may use 3"), "{e:#}");
    }

    #[test]
    fn a_pinned_thread_may_run_on_its_cpu_only() {
        for cpu in allowed_cpus() {
            let seen = std::thread::spawn(move || pin(cpu).map(|()| allowed_cpus())).join().unwrap();
            assert_eq!(seen.unwrap(), [cpu]);
        }
        assert!(pin(u32::MAX).is_err());
    }
}

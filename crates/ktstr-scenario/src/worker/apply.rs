//! Putting a manner on: made ready by the parent, done by the forked worker itself without allocation.

use super::cpu_mask::CpuMask;
use super::fault::Fault;
use super::manner::{Manner, MemPolicy, Policy};
use anyhow::{Context as _, Result, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::ffi::CString;
use std::time::Duration;

/// `SCHED_EXT` (kernel: include/uapi/linux/sched.h); libc does not have it.
const SCHED_EXT: i32 = 7;
/// Words of a set of nodes: 1024 of them (kernel: `NODES_SHIFT` is at most 10).
const NODE_WORDS: usize = 16;

/// A manner in the words of the system calls.
pub struct Prepared {
    nice: i32,
    policy: Policy,
    comm: Option<CString>,
    uid: Option<u32>,
    gid: Option<u32>,
    memory: Option<(i32, [u64; NODE_WORDS])>,
    affinity: Vec<Option<CpuMask>>,
}

impl Prepared {
    /// Checks it and makes it ready for this many workers.
    pub fn new(manner: &Manner, workers: usize) -> Result<Self> {
        manner.check(workers)?;
        Ok(Self {
            nice: manner.nice,
            policy: manner.policy,
            comm: manner.comm.as_deref().map(CString::new).transpose()?,
            uid: manner.uid,
            gid: manner.gid,
            memory: memory(&manner.memory)?,
            affinity: manner
                .affinity
                .iter()
                .enumerate()
                .map(|(i, cpus)| match cpus[..] {
                    [] => Ok(None),
                    _ => CpuMask::of(cpus).map(Some).with_context(|| format!("affinity of worker {i}")),
                })
                .collect::<Result<_>>()?,
        })
    }

    /// Where this worker may run.
    pub fn bounds(&self, index: usize) -> CpuMask {
        self.affinity.get(index).copied().flatten().unwrap_or(CpuMask::ALL)
    }

    /// Makes the calling process like this; what takes privileges away comes last.
    pub fn put_on(&self, index: usize) -> Result<(), Fault> {
        if let Some(comm) = &self.comm {
            rustix::thread::set_name(comm).map_err(|e| Fault::new("prctl(PR_SET_NAME)", 0, e))?;
        }
        if let Some((mode, nodes)) = &self.memory {
            set_memory_policy(*mode, nodes)?;
        }
        if let Some(Some(mask)) = self.affinity.get(index) {
            mask.apply(0)?;
        }
        if self.nice != 0 {
            set_nice(self.nice)?;
        }
        if self.policy != Policy::Normal {
            set_policy(&self.policy)?;
        }
        if let Some(gid) = self.gid {
            // SAFETY: no groups are given, so nothing is read.
            let dropped = unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()) };
            done(dropped, "setgroups to none, for group", i64::from(gid))?;
            // SAFETY: three integers; the process has one thread.
            done(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }, "setresgid to", i64::from(gid))?;
        }
        if let Some(uid) = self.uid {
            // SAFETY: three integers; the process has one thread.
            done(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }, "setresuid to", i64::from(uid))?;
        }
        // A worker whose parent is gone must not spin on; changing the user takes this away (prctl(2)).
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| Fault::new("prctl(PR_SET_PDEATHSIG)", 9, e))
    }
}

fn done(result: libc::c_long, what: &'static str, value: i64) -> Result<(), Fault> {
    if result < 0 { Err(Fault::last(what, value)) } else { Ok(()) }
}

/// Sets the caller's nice value.
pub fn set_nice(nice: i32) -> Result<(), Fault> {
    rustix::process::setpriority_process(None, nice).map_err(|e| Fault::new("setpriority to nice", i64::from(nice), e))
}

/// Sets the caller's policy; its nice value stays.
pub fn set_policy(policy: &Policy) -> Result<(), Fault> {
    let (number, priority, what) = match *policy {
        Policy::Normal => (libc::SCHED_OTHER, 0, "sched_setscheduler to SCHED_OTHER"),
        Policy::Batch => (libc::SCHED_BATCH, 0, "sched_setscheduler to SCHED_BATCH"),
        Policy::Idle => (libc::SCHED_IDLE, 0, "sched_setscheduler to SCHED_IDLE"),
        Policy::Ext => (SCHED_EXT, 0, "sched_setscheduler to SCHED_EXT"),
        Policy::Fifo(p) => (libc::SCHED_FIFO, p, "sched_setscheduler to SCHED_FIFO"),
        Policy::RoundRobin(p) => (libc::SCHED_RR, p, "sched_setscheduler to SCHED_RR"),
        Policy::Deadline { runtime, deadline, period } => return set_deadline(runtime, deadline, period),
    };
    let priority = i32::try_from(priority).unwrap_or(i32::MAX);
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel reads one `sched_param`, which lives across the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, number, &raw const param) };
    done(result, what, i64::from(priority))
}

fn set_deadline(runtime: Duration, deadline: Duration, period: Duration) -> Result<(), Fault> {
    let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: `sched_attr` is plain integers, for which zero is valid.
    let mut attr: libc::sched_attr = unsafe { std::mem::zeroed() };
    attr.size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0);
    attr.sched_policy = u32::try_from(libc::SCHED_DEADLINE).unwrap_or(0);
    (attr.sched_runtime, attr.sched_deadline, attr.sched_period) = (ns(runtime), ns(deadline), ns(period));
    // SAFETY: the kernel reads `attr.size` bytes of the structure, which lives across the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    done(result, "sched_setattr to SCHED_DEADLINE, runtime", i64::try_from(attr.sched_runtime).unwrap_or(i64::MAX))
}

fn memory(policy: &MemPolicy) -> Result<Option<(i32, [u64; NODE_WORDS])>> {
    let (mode, nodes) = match policy {
        MemPolicy::Default => return Ok(None),
        MemPolicy::Bind(nodes) => (libc::MPOL_BIND, &nodes[..]),
        MemPolicy::Interleave(nodes) => (libc::MPOL_INTERLEAVE, &nodes[..]),
        MemPolicy::Preferred(node) => (libc::MPOL_PREFERRED, std::slice::from_ref(node)),
    };
    ensure!(!nodes.is_empty(), "{policy:?} names no node");
    let mut mask = [0; NODE_WORDS];
    for &node in nodes {
        let word = mask.get_mut(node as usize / 64).with_context(|| format!("{policy:?}: there is no node {node}"))?;
        *word |= 1 << (node % 64);
    }
    Ok(Some((mode, mask)))
}

fn set_memory_policy(mode: i32, nodes: &[u64; NODE_WORDS]) -> Result<(), Fault> {
    // One more than the bits that are read (set_mempolicy(2), BUGS).
    let bits = NODE_WORDS * 64 + 1;
    // SAFETY: the kernel reads `bits - 1` bits of the array, which lives across the call.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes.as_ptr(), bits) };
    done(result, "set_mempolicy to mode", i64::from(mode))
}

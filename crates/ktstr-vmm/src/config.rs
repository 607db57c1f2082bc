//! What a machine is made of.

use crate::accel::Accel;
use crate::deadline::Deadlines;
use ktstr_topology::Topology;
use ktstr_wire::Nonce;
use std::path::PathBuf;

/// One machine, for any accelerator.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// vmlinux (an ELF, quicker to start) or bzImage.
    pub kernel: PathBuf,
    /// Archives of the initramfs, concatenated in order.
    pub initramfs: Vec<PathBuf>,
    /// What only this run's guest needs to know, sealed ([`ktstr_wire::seal`]); how it travels is up to the accelerator.
    pub parameters: Vec<u8>,
    /// Words added to the kernel's command line.
    pub cmdline_extra: Vec<String>,
    /// The machine's shape.
    pub topology: Topology,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Nonce of this attempt.
    pub nonce: Nonce,
    /// Limits of each phase.
    pub deadlines: Deadlines,
    /// Who executes it.
    pub accel: Accel,
    /// What all chance of a simulated machine is drawn from; the other accelerators do not look at it.
    pub seed: u64,
    /// Performance mode (kvm): huge pages, and host CPUs of its own.
    pub performance: Option<Performance>,
    /// Console to stderr, and talkative.
    pub verbose: bool,
    /// Where QEMU waits for a debugger before the first instruction: a port of this host, or the path of a socket.
    pub gdb: Option<String>,
    /// Where a simulated machine stops for that debugger by itself, in ns of its virtual time, which begins with power-on.
    pub stop_at_ns: Option<u64>,
    /// File for the virtual times of a simulated machine's output: for each time it wrote four words of 64 bits, least byte first:
    /// console (0) or stream (1), bytes, ns, and the bytes' checksum (FNV-1a). The stop is a write of 0 bytes to 2, a debugger's
    /// stop before it one to 3.
    pub times: Option<PathBuf>,
    /// The console is this process's stdin and stdout (tcg); typing Ctrl-A and then x ends the machine.
    pub terminal: bool,
    /// A fault to inject, for tests of the harness.
    pub spoil: Spoil,
}

/// What performance mode needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performance {
    /// Where the lock files of host CPUs are; made when missing.
    pub lock_dir: PathBuf,
}

/// Ways to spoil a run on purpose; each can only turn a pass into a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spoil {
    /// Leaves it alone.
    #[default]
    Nothing,
    /// Builds another machine than the one asked for.
    Topology(Topology),
    /// Flips the lowest bit of this byte of the guest's stream.
    FlipByte(u64),
    /// Drops the guest's stream from this byte on.
    CutAt(u64),
    /// Flips the lowest bit of this byte of the parameters.
    FlipParameter(usize),
    /// Drops the parameters from this byte on.
    CutParameters(usize),
    /// Lets the thread of the CPU that speaks first panic (kvm).
    PanicCpu,
    /// Reads the console late: once in so many milliseconds (QEMU).
    SlowConsole(u64),
    /// Kills the monitor when the test begins.
    KillMonitor,
    /// Answers with a stream kept from an earlier attempt.
    Replay(Vec<u8>),
}

impl VmConfig {
    /// What the guest is told: the parameters, spoiled if that was asked for.
    pub(crate) fn told(&self) -> Vec<u8> {
        let mut told = self.parameters.clone();
        match self.spoil {
            Spoil::FlipParameter(at) => {
                if let Some(byte) = told.get_mut(at) {
                    *byte ^= 1;
                }
            }
            Spoil::CutParameters(at) => told.truncate(at),
            _ => {}
        }
        told
    }
}

impl Default for VmConfig {
    fn default() -> Self {
        // A shape of ones is always valid; the fallback is never taken.
        let topology = Topology::new(1, 1, 1, 1).unwrap_or_else(|_| unreachable!("1n1l1c1t is a valid shape"));
        Self {
            kernel: PathBuf::new(),
            initramfs: Vec::new(),
            parameters: Vec::new(),
            cmdline_extra: Vec::new(),
            topology,
            memory_mib: 512,
            nonce: Nonce(0),
            deadlines: Deadlines::default(),
            accel: Accel::Tcg,
            seed: 0,
            performance: None,
            verbose: false,
            gdb: None,
            stop_at_ns: None,
            times: None,
            terminal: false,
            spoil: Spoil::Nothing,
        }
    }
}

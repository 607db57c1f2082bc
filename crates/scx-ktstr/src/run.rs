//! Loads the BPF half with the faults that are on, attaches it, and waits for its end.

use crate::flags::{Flags, duration, ms, text, us};
use crate::signals::Signals;
use anyhow::{Context as _, Result};
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use skeleton::{KtstrSkel, KtstrSkelBuilder, OpenKtstrSkel};
use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[allow(clippy::all, clippy::pedantic, clippy::undocumented_unsafe_blocks, clippy::unwrap_used, missing_docs)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, unsafe_op_in_unsafe_fn, dead_code)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/ktstr.skel.rs"));
}

/// How often the scheduler's end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Exit kinds from here on are errors (kernel/sched/ext_internal.h, SCX_EXIT_ERROR).
const ERRORS: u32 = 1024;
/// Asked only about the last task of a CPU (kernel/sched/ext_internal.h, SCX_OPS_ENQ_LAST).
const ENQ_LAST: u64 = 1 << 1;

/// Runs until it is asked to leave or thrown out.
///
/// # Errors
/// The kernel refuses the BPF half.
pub fn run(flags: &Flags) -> Result<ExitCode> {
    let signals = Signals::block()?;
    let mut object = MaybeUninit::uninit();
    let mut open = KtstrSkelBuilder::default().open(&mut object).context("failed to open the BPF half")?;
    switch_on(&mut open, flags)?;
    let mut skel = open.load().context("failed to load the BPF half: is this kernel older than 6.13?")?;
    let delay = if flags.never_attach { Some(Duration::MAX) } else { duration(flags.attach_late) };
    if delay.is_some_and(|delay| signals.came_within(delay)) {
        return Ok(ExitCode::SUCCESS);
    }
    let mut link = Some(attach(&mut skel)?);
    let began = Instant::now();
    let mut leak = duration(flags.leak_bypass);
    let leave = duration(flags.exit_after);
    loop {
        if signals.came_within(LOOK_EVERY) || leave.is_some_and(|after| began.elapsed() >= after) {
            drop(link.take());
            return Ok(end(&skel));
        }
        if exit_kind(&skel) != 0 {
            return Ok(end(&skel));
        }
        if leak.is_some_and(|after| began.elapsed() >= after) {
            leak = None;
            drop(link.take());
            if let Some(bss) = skel.maps.bss_data.as_mut() {
                bss.exit_kind = 0;
            }
            link = Some(attach(&mut skel)?);
        }
    }
}

fn switch_on(open: &mut OpenKtstrSkel<'_>, flags: &Flags) -> Result<()> {
    let victim = flags.victim()?;
    let cpu = |cpu: Option<u32>| cpu.map_or(-1, |cpu| i32::try_from(cpu).unwrap_or(-1));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let rodata = open.maps.rodata_data.as_mut().context("the BPF half has no settings")?;
    rodata.slice_ns = us(Some(flags.slice_us));
    rodata.stall_after_ns = ms(flags.stall_after);
    rodata.error_after_ns = ms(flags.error_after);
    rodata.leave_after_ns = ms(flags.bpf_exit_after);
    rodata.slow_dispatch_ns = us(flags.slow_dispatch);
    rodata.slow_wakeup_ns = us(flags.slow_wakeup);
    rodata.starve_every_ns = ms(flags.starve_every);
    rodata.lost_wakeup_ns = us(flags.lost_wakeup);
    rodata.starve_pid = victim.pid;
    rodata.starve_comm = victim.comm;
    rodata.starve_nice = flags.starve_nice.unwrap_or(0);
    rodata.ignore_cpu = cpu(flags.ignore_cpu);
    rodata.pile_on_cpu = cpu(flags.pile_on_cpu);
    rodata.ignore_pinned = flags.ignore_pinned.into();
    rodata.misplace = flags.misplace.into();
    rodata.cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    rodata.keep_last = flags.keep_last.into();
    rodata.message = text(&flags.message, "--message")?;
    let ops = open.struct_ops.ktstr_ops_mut();
    ops.timeout_ms = flags.timeout_ms.unwrap_or(0);
    if flags.keep_last {
        ops.flags &= !ENQ_LAST;
    }
    if flags.leave_on_hotplug {
        ops.cpu_online = std::ptr::null_mut();
        ops.cpu_offline = std::ptr::null_mut();
    }
    Ok(())
}

fn attach(skel: &mut KtstrSkel<'_>) -> Result<libbpf_rs::Link> {
    skel.maps.ktstr_ops.attach_struct_ops().context("failed to attach: is another scheduler attached?")
}

fn exit_kind(skel: &KtstrSkel<'_>) -> u32 {
    skel.maps.bss_data.as_ref().map_or(0, |bss| {
        // SAFETY: a valid reference; the kernel writes it at any time, so it must be read anew.
        unsafe { std::ptr::read_volatile(&raw const bss.exit_kind) }
    })
}

/// Says why it ended; an error is a status of its own, everything else is 0, as with every scheduler of this kind.
fn end(skel: &KtstrSkel<'_>) -> ExitCode {
    let Some(bss) = skel.maps.bss_data.as_ref() else { return ExitCode::FAILURE };
    let kind = exit_kind(skel);
    let words = |bytes: &[i8]| {
        let plain: Vec<u8> = bytes.iter().take_while(|b| **b != 0).map(|b| b.cast_unsigned()).collect();
        String::from_utf8_lossy(&plain).into_owned()
    };
    let (reason, message) = (words(&bss.exit_reason), words(&bss.exit_message));
    eprintln!("scx-ktstr: exit kind {kind}, code {:#x}: {reason}: {message}", bss.exit_code);
    if kind >= ERRORS { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

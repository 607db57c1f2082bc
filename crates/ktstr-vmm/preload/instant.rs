//! Virtual time seen from outside: when the machine wrote what, and a stop for a debugger at an instant.
//!
//! What is put down are entries of four words of 64 bits: what happened, bytes, virtual time in ns, and a checksum of the bytes.
//!
//! For the instant there is one more timer. QEMU runs the CPUs up to a timer and no instruction further, so what comes before it is
//! the same run with the timer and without. It is on a list of its own: where a device sets a timer that becomes the first of its
//! list, QEMU ends the turn of the CPU that runs (util/qemu-timer.c, `timerlist_rearm`), and a timer of ours in front would hide that.

use crate::{CPUS, DEFAULT, NEXT, dlsym, me, refuse, syscall, write};
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering::Relaxed};

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
    fn atoll(text: *const c_char) -> i64;
}

/// What the process that starts QEMU says (`tcg/child.rs`): an instant in ns, and the file that takes the times.
const STOP: &CStr = c"KTSTR_QEMU_STOP_NS";
const TIMES: &CStr = c"KTSTR_QEMU_TIMES";
/// Descriptors under fixed numbers (`tcg/args.rs`): where the machine writes to, console first, and where the times go.
const OUTPUTS: [c_int; 2] = [200, 201];
const TIMES_FD: c_int = 204;
/// What is put down: 0 and 1 are the outputs, then the stop, and a stop before it that a debugger made.
const STOPPED: u64 = 2;
const STOPPED_BEFORE: u64 = 3;
/// 64-bit FNV-1a (RFC 9923): where it begins, and its prime.
const FNV: (u64, u64) = (0xcbf2_9ce4_8422_2325, 0x0100_0000_01b3);

/// `QEMU_CLOCK_VIRTUAL` (include/qemu/timer.h).
const VIRTUAL: c_int = 1;
/// `RUN_STATE_PAUSED` (qapi/run-state.json).
const PAUSED: c_int = 4;

#[cfg(target_arch = "x86_64")]
const SYS_FSTAT: c_long = 5;
#[cfg(not(target_arch = "x86_64"))]
const SYS_FSTAT: c_long = 80;
/// Words of `struct stat`, more than there are; the first is the device, the second the inode.
const STAT_WORDS: usize = 32;

type GetNs = unsafe extern "C" fn(c_int) -> i64;
type Notify = unsafe extern "C" fn(*mut c_void, c_int);
type NewList = unsafe extern "C" fn(c_int, Notify, *mut c_void) -> *mut c_void;
type RunList = unsafe extern "C" fn(*mut c_void) -> bool;
type Reached = unsafe extern "C" fn(*mut c_void);
type InitTimer = unsafe extern "C" fn(*mut Timer, *const [*mut c_void; 4], c_int, c_int, c_int, Reached, *mut c_void);
type SetTimer = unsafe extern "C" fn(*mut Timer, i64);
type GetCpu = unsafe extern "C" fn(c_int) -> *mut c_void;
type Work = unsafe extern "C" fn(*mut c_void, usize);
type Queue = unsafe extern "C" fn(*mut c_void, Work, usize);
type Stop = unsafe extern "C" fn(c_int) -> c_int;
type Pause = unsafe extern "C" fn();
type Changed = unsafe extern "C" fn(*mut c_void, bool, c_int);
type OnChange = unsafe extern "C" fn(Changed, *mut c_void) -> *mut c_void;
type Writev = unsafe extern "C" fn(c_int, *const c_void, c_int) -> isize;

/// Room for a `QEMUTimer`, which has 48 bytes (include/qemu/timer.h).
#[repr(C, align(16))]
struct Timer([u8; 256]);

/// `struct iovec` (linux/uio.h).
#[repr(C)]
struct Part {
    base: *const u8,
    length: usize,
}

/// Only QEMU uses it, and only with its lock held.
static mut TIMER: Timer = Timer([0; 256]);

/// Whether the instant is behind the machine.
static IS_PAST: AtomicBool = AtomicBool::new(false);
static LIST: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

static WRITEV: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
/// Looked up when times are wanted.
static GET_NS: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
/// What QEMU calls the outputs, once it has written to them.
static OPENED: [AtomicI32; 2] = [const { AtomicI32::new(-1) }; 2];

/// Of QEMU's; without it there is no stop and there are no times, and to say so is better than to go on.
fn qemus(name: &CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    let found = unsafe { dlsym(DEFAULT, name.as_ptr()) };
    if found.is_null() {
        refuse(b"this QEMU lacks a function that a look at its virtual time needs: it cannot stop at an instant\n");
    }
    found
}

fn said(name: &CStr) -> *const c_char {
    // SAFETY: the name is a C string, and nothing changes the environment at this time.
    unsafe { getenv(name.as_ptr()) }
}

/// Before QEMU's `main`.
pub fn begin() {
    if !said(TIMES).is_null() {
        GET_NS.store(qemus(c"qemu_clock_get_ns"), Relaxed);
    }
}

/// With QEMU's lock held, when its clocks are there and no instruction has been executed.
pub fn set() {
    let at = said(STOP);
    if at.is_null() {
        return;
    }
    // SAFETY: QEMU declares all as here, and reads the group (a list for each clock) during the call only; the timer has room, is
    // QEMU's alone from here on, and outlives all.
    unsafe {
        let list = transmute::<*mut c_void, NewList>(qemus(c"timerlist_new"))(VIRTUAL, expired, null_mut());
        LIST.store(list, Relaxed);
        let timer = &raw mut TIMER;
        let init = transmute::<*mut c_void, InitTimer>(qemus(c"timer_init_full"));
        init(timer, &[list; 4], VIRTUAL, 1, 0, reached, null_mut());
        transmute::<*mut c_void, SetTimer>(qemus(c"timer_mod_ns"))(timer, atoll(at));
        transmute::<*mut c_void, OnChange>(qemus(c"qemu_add_vm_change_state_handler"))(changed, null_mut());
    }
}

/// QEMU's word that some list of the clock has a timer that is due, or may have one.
unsafe extern "C" fn expired(_: *mut c_void, _: c_int) {
    let list = LIST.load(Relaxed);
    if me() == CPUS.load(Relaxed) && !list.is_null() {
        // SAFETY: QEMU declares it so, and the list is of its making.
        unsafe { transmute::<*mut c_void, RunList>(qemus(c"timerlist_run_timers"))(list) };
    }
}

/// The timer's end, on the CPUs' thread, between two instructions. A clock cannot be stopped from its own timer, so that is left to
/// work for a CPU; where any has some, none executes an instruction before it is done.
unsafe extern "C" fn reached(_: *mut c_void) {
    // SAFETY: QEMU declares both as here, and a CPU that it names exists.
    unsafe {
        let get = transmute::<*mut c_void, GetCpu>(qemus(c"qemu_get_cpu"));
        let queue = transmute::<*mut c_void, Queue>(qemus(c"async_run_on_cpu"));
        let cpus = (0..).map(|index| get(index)).take_while(|cpu| !cpu.is_null());
        for (index, cpu) in cpus.enumerate() {
            queue(cpu, if index == 0 { stop } else { nothing }, 0);
        }
    }
}

/// All CPUs are this thread's, so all stop here and now; the main loop then tells the debugger.
unsafe extern "C" fn stop(_: *mut c_void, _: usize) {
    IS_PAST.store(true, Relaxed);
    note(STOPPED, 0, 0);
    // SAFETY: QEMU declares both as here; its lock is held.
    unsafe {
        transmute::<*mut c_void, Stop>(qemus(c"vm_stop"))(PAUSED);
        transmute::<*mut c_void, Pause>(qemus(c"pause_all_vcpus"))();
    }
}

/// The machine runs, or has stopped.
unsafe extern "C" fn changed(_: *mut c_void, running: bool, _: c_int) {
    if !running && !IS_PAST.load(Relaxed) {
        note(STOPPED_BEFORE, 0, 0);
    }
}

unsafe extern "C" fn nothing(_: *mut c_void, _: usize) {}

/// # Safety
/// As writev(2): what QEMU's character devices write with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const c_void, count: c_int) -> isize {
    let mut next = WRITEV.load(Relaxed);
    if next.is_null() {
        // SAFETY: the name is a C string.
        next = unsafe { dlsym(NEXT, c"writev".as_ptr()) };
        WRITEV.store(next, Relaxed);
    }
    // SAFETY: the caller's.
    let written = unsafe { transmute::<*mut c_void, Writev>(next)(fd, parts, count) };
    if let Ok(length) = usize::try_from(written)
        && length > 0
        && !GET_NS.load(Relaxed).is_null()
        && let Some(output) = output(fd)
    {
        // SAFETY: the parts are as the caller says; so much of them has been written.
        let sum = unsafe { checksum(parts.cast(), length) };
        note(output as u64, length as u64, sum);
    }
    written
}

/// Of the first `length` bytes of the parts.
unsafe fn checksum(mut parts: *const Part, mut length: usize) -> u64 {
    let (mut sum, prime) = FNV;
    while length > 0 {
        // SAFETY: the caller's: there are parts until the length is reached, and each is as long as it says.
        let part = unsafe { &*parts };
        for at in 0..part.length.min(length) {
            // SAFETY: it is inside of the part.
            sum = (sum ^ u64::from(unsafe { *part.base.add(at) })).wrapping_mul(prime);
        }
        length -= part.length.min(length);
        // SAFETY: there is a next one as long as bytes are missing.
        parts = unsafe { parts.add(1) };
    }
    sum
}

/// Writes down what has happened, and when; what does not fit on a disk is missed by whoever reads it.
fn note(what: u64, bytes: u64, sum: u64) {
    let clock = GET_NS.load(Relaxed);
    if clock.is_null() {
        return;
    }
    // SAFETY: QEMU declares it so; it is asked by a write of a CPU's, between two instructions, or when all CPUs have stopped.
    let now = unsafe { transmute::<*mut c_void, GetNs>(clock)(VIRTUAL) };
    let entry = [what, bytes, now as u64, sum];
    // SAFETY: the entry is as large as said.
    unsafe { write(TIMES_FD, entry.as_ptr().cast(), size_of_val(&entry)) };
}

/// Which of the outputs this is, under whatever number QEMU has opened it.
fn output(fd: c_int) -> Option<usize> {
    if let Some(known) = OPENED.iter().position(|opened| opened.load(Relaxed) == fd) {
        return Some(known);
    }
    let this = identity(fd)?;
    let found = OUTPUTS.iter().position(|output| identity(*output) == Some(this))?;
    OPENED[found].store(fd, Relaxed);
    Some(found)
}

/// Device and inode.
fn identity(fd: c_int) -> Option<[u64; 2]> {
    let mut stat = [0u64; STAT_WORDS];
    // SAFETY: the buffer is larger than `struct stat`.
    let failed = unsafe { syscall(SYS_FSTAT, fd, stat.as_mut_ptr()) } < 0;
    (!failed).then_some([stat[0], stat[1]])
}

//! Loaded into a simulated machine's QEMU (`LD_PRELOAD`): its main loop and its CPUs take turns.
//!
//! Where all CPUs are idle, QEMU's main loop moves virtual time on to the next timer (softmmu/icount.c, `icount_start_warp_timer`).
//! It looks for that whenever something wakes it, each expired timer included, while the thread of the CPUs goes on. A CPU is
//! marked halted some instructions before they are counted, and some steps before that thread waits. A main loop that looks just
//! then moves time on too far, or too early: how soon it woke up shows in the guest. (QEMU's own recording has a lock against
//! that, and takes machines of one CPU only.)
//!
//! So there is one turn. The CPUs' thread has it except while it waits, idle, for the main loop; the main loop has it from the
//! end of its poll to the next one. A main loop that has waited for long gets it at a moment when some CPU is not idle: then it
//! leaves time alone. The turn is always taken before QEMU's big lock.
//!
//! Without the standard library, so that it needs nothing but the C library that QEMU has loaded.
#![no_std]

mod instant;

use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn pthread_self() -> usize;
    fn syscall(number: c_long, ...) -> c_long;
    fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize;
    fn readlink(path: *const c_char, to: *mut c_char, size: usize) -> isize;
    fn _exit(status: c_int) -> !;
    fn __errno_location() -> *mut c_int;
}

/// dlsym(3): whoever has it first, and whoever has it after this library.
const DEFAULT: *mut c_void = null_mut();
const NEXT: *mut c_void = usize::MAX as *mut c_void;

#[cfg(target_arch = "x86_64")]
const SYS_FUTEX: c_long = 202;
#[cfg(not(target_arch = "x86_64"))]
const SYS_FUTEX: c_long = 98;
/// `FUTEX_WAIT` and `FUTEX_WAKE` with `FUTEX_PRIVATE_FLAG` (linux/futex.h).
const WAIT: c_int = 128;
const WAKE: c_int = 129;
const ETIMEDOUT: c_int = 110;

/// How long the main loop waits before it asks for the turn; it has nothing to do that the guest waits for.
const PATIENCE: Timespec = Timespec { seconds: 0, nanoseconds: 20_000_000 };

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

type Lock = unsafe extern "C" fn(*mut c_void) -> c_int;
type Wait = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type Poll = unsafe extern "C" fn(*mut c_void, usize, *const c_void, *const c_void) -> c_int;
type Ask = unsafe extern "C" fn() -> bool;
type Versioned = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> *mut c_void;

/// A function that is looked for when it is first needed, which is before any constructor.
struct Next(AtomicPtr<c_void>, &'static CStr);

impl Next {
    fn get(&self) -> *mut c_void {
        let known = self.0.load(Relaxed);
        if !known.is_null() {
            return known;
        }
        let found = after_us(self.1);
        self.0.store(found, Relaxed);
        found
    }
}

static MUTEX_LOCK: Next = Next(AtomicPtr::new(null_mut()), c"pthread_mutex_lock");
static MUTEX_UNLOCK: Next = Next(AtomicPtr::new(null_mut()), c"pthread_mutex_unlock");
static COND_WAIT: Next = Next(AtomicPtr::new(null_mut()), c"pthread_cond_wait");
static PPOLL: Next = Next(AtomicPtr::new(null_mut()), c"ppoll");

/// QEMU's: whether the calling thread has the big lock, and whether all CPUs are idle. Both or neither.
static HAS_BIG_LOCK: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static ALL_IDLE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

static MAIN: AtomicUsize = AtomicUsize::new(0);
static CPUS: AtomicUsize = AtomicUsize::new(0);
static BIG_LOCK: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// 0: nobody's, 1: somebody's, 2: somebody's, and somebody waits.
static TURN: AtomicU32 = AtomicU32::new(0);
static MAIN_HAS_IT: AtomicBool = AtomicBool::new(false);
static CPUS_HAVE_IT: AtomicBool = AtomicBool::new(false);
/// 1 while the main loop asks for it.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// The wait that QEMU means: glibc keeps an older one under the same name.
fn after_us(name: &CStr) -> *mut c_void {
    // SAFETY: names are C strings; `dlvsym` is called as glibc declares it, and a C library without it has no older one.
    unsafe {
        let versioned = dlsym(DEFAULT, c"dlvsym".as_ptr());
        if name == c"pthread_cond_wait" && !versioned.is_null() {
            let found = transmute::<*mut c_void, Versioned>(versioned)(NEXT, name.as_ptr(), c"GLIBC_2.3.2".as_ptr());
            if !found.is_null() {
                return found;
            }
        }
        dlsym(NEXT, name.as_ptr())
    }
}

/// What came of it, as an `errno`.
fn futex(word: &AtomicU32, operation: c_int, value: u32, at_most: Option<&Timespec>) -> c_int {
    // SAFETY: the word and the time outlive the call; `errno` is this thread's, and callers do not see it change.
    unsafe {
        let errno = __errno_location();
        let before = *errno;
        let time = at_most.map_or(core::ptr::null(), |t| t as *const Timespec);
        let failed = syscall(SYS_FUTEX, word.as_ptr(), operation, value, time, 0usize, 0usize) < 0;
        let why = if failed { *errno } else { 0 };
        *errno = before;
        why
    }
}

/// Waits for the turn and takes it; the main loop asks for it after a while.
fn take(has_it: &AtomicBool, asks: bool) {
    if has_it.load(Relaxed) {
        return;
    }
    if TURN.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
        while TURN.swap(2, SeqCst) != 0 {
            let patience = (asks && ASKED.load(SeqCst) == 0).then_some(&PATIENCE);
            if futex(&TURN, WAIT, 2, patience) == ETIMEDOUT {
                ASKED.store(1, SeqCst);
            }
        }
    }
    has_it.store(true, Relaxed);
    if asks && ASKED.swap(0, SeqCst) == 1 {
        futex(&ASKED, WAKE, 1, None);
    }
}

fn give(has_it: &AtomicBool) {
    if has_it.swap(false, Relaxed) && TURN.swap(0, SeqCst) == 2 {
        futex(&TURN, WAKE, 1, None);
    }
}

fn asks_qemu(question: &AtomicPtr<c_void>) -> Option<bool> {
    let function = question.load(Relaxed);
    // SAFETY: QEMU declares both as `bool (void)`.
    (!function.is_null()).then(|| unsafe { transmute::<*mut c_void, Ask>(function)() })
}

fn me() -> usize {
    // SAFETY: it has no preconditions.
    unsafe { pthread_self() }
}

/// Whose turn the calling thread takes part in, if it holds the big lock or not.
fn part() -> Option<(&'static AtomicBool, bool)> {
    let me = me();
    if me == MAIN.load(Relaxed) {
        return Some((&MAIN_HAS_IT, true));
    }
    (me == CPUS.load(Relaxed)).then_some((&CPUS_HAVE_IT, false))
}

/// # Safety
/// As ppoll(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(fds: *mut c_void, count: usize, time: *const c_void, mask: *const c_void) -> c_int {
    // With the big lock in hand it is no turn's end.
    let turns = me() == MAIN.load(Relaxed) && asks_qemu(&HAS_BIG_LOCK) == Some(false);
    if turns {
        give(&MAIN_HAS_IT);
    }
    // SAFETY: the caller's.
    let result = unsafe { transmute::<*mut c_void, Poll>(PPOLL.get())(fds, count, time, mask) };
    if turns {
        take(&MAIN_HAS_IT, true);
    }
    result
}

/// # Safety
/// As ppoll(2): what programs built with `_FORTIFY_SOURCE` may call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __ppoll_chk(
    fds: *mut c_void,
    count: usize,
    time: *const c_void,
    mask: *const c_void,
    _size: usize,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { ppoll(fds, count, time, mask) }
}

/// # Safety
/// As pthread_cond_wait(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_wait(condition: *mut c_void, mutex: *mut c_void) -> c_int {
    // SAFETY: the type is that of pthread_cond_wait(3).
    let wait = unsafe { transmute::<*mut c_void, Wait>(COND_WAIT.get()) };
    if asks_qemu(&HAS_BIG_LOCK) == Some(true) && me() != MAIN.load(Relaxed) {
        // With one thread for all CPUs only that one waits so.
        let first = CPUS.compare_exchange(0, me(), SeqCst, SeqCst).is_ok();
        if first {
            BIG_LOCK.store(mutex, SeqCst);
            // The clocks are there, and no instruction has been executed.
            instant::set();
        }
    }
    let (Some((has_it, asks)), Some(true)) = (part(), asks_qemu(&HAS_BIG_LOCK)) else {
        // SAFETY: the caller's.
        return unsafe { wait(condition, mutex) };
    };
    give(has_it);
    // SAFETY: the caller's; the mutex is locked here, and again when this returns. A wait may end at any time.
    unsafe {
        let result = wait(condition, mutex);
        transmute::<*mut c_void, Lock>(MUTEX_UNLOCK.get())(mutex);
        take(has_it, asks);
        transmute::<*mut c_void, Lock>(MUTEX_LOCK.get())(mutex);
        result
    }
}

/// # Safety
/// As pthread_mutex_lock(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_mutex_lock(mutex: *mut c_void) -> c_int {
    if ASKED.load(Relaxed) == 1
        && mutex == BIG_LOCK.load(Relaxed)
        && me() == CPUS.load(Relaxed)
        && CPUS_HAVE_IT.load(Relaxed)
        && asks_qemu(&ALL_IDLE) == Some(false)
    {
        give(&CPUS_HAVE_IT);
        while ASKED.load(SeqCst) == 1 {
            futex(&ASKED, WAIT, 1, None);
        }
        take(&CPUS_HAVE_IT, false);
    }
    // SAFETY: the caller's.
    unsafe { transmute::<*mut c_void, Lock>(MUTEX_LOCK.get())(mutex) }
}

/// Runs before QEMU's `main`, on the thread that becomes the main loop.
extern "C" fn begin() {
    let find = |names: &[&CStr]| {
        // SAFETY: names are C strings.
        names.iter().map(|n| unsafe { dlsym(DEFAULT, n.as_ptr()) }).find(|f| !f.is_null()).unwrap_or(null_mut())
    };
    // QEMU 9.0 gave the first another name.
    let has = find(&[c"qemu_mutex_iothread_locked", c"bql_locked"]);
    let idle = find(&[c"all_cpu_threads_idle"]);
    if has.is_null() || idle.is_null() {
        // A script around QEMU has neither, and hands this library on.
        if is_qemu() {
            refuse(b"this QEMU hides its functions (it was linked without -rdynamic), so its main loop cannot be kept from showing in the guest: a simulated run could not be repeated\n");
        }
        return;
    }
    ALL_IDLE.store(idle, SeqCst);
    HAS_BIG_LOCK.store(has, SeqCst);
    MAIN.store(me(), SeqCst);
    instant::begin();
}

fn refuse(text: &[u8]) -> ! {
    // SAFETY: the bytes are there, and nothing runs after it.
    unsafe {
        write(2, text.as_ptr().cast(), text.len());
        _exit(1);
    }
}

fn is_qemu() -> bool {
    let mut path = [0u8; 512];
    // SAFETY: the buffer is as large as said.
    let length = unsafe { readlink(c"/proc/self/exe".as_ptr(), path.as_mut_ptr().cast(), path.len()) };
    let path = usize::try_from(length).ok().and_then(|n| path.get(..n)).unwrap_or(&[]);
    path.windows(b"qemu-system".len()).any(|part| part == b"qemu-system")
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: nothing runs after it.
    unsafe { _exit(101) }
}

//! Loaded into QEMU by a test: a host on which QEMU's main loop wakes up late, and a CPU that goes idle is held up just before its
//! last instructions are counted. Both happen on a busy host, seldom.
#![no_std]

use core::arch::x86_64::_rdtsc;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::transmute;
use core::ptr::null_mut;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn usleep(microseconds: c_uint) -> c_int;
    fn _exit(status: c_int) -> !;
}

/// Cycles of the host's clock: up to some 50 µs late.
const LATE: u64 = 100_000;
/// µs that a CPU is held up; asleep, so that the main loop gets on where there is one host CPU for both.
const HELD_UP: c_uint = 100;

fn find(first: bool, name: &CStr) -> *mut c_void {
    let handle = if first { null_mut() } else { usize::MAX as *mut c_void };
    // SAFETY: dlsym(3) with RTLD_DEFAULT or RTLD_NEXT and a C string.
    unsafe { dlsym(handle, name.as_ptr()) }
}

fn spin(at_most: u64) {
    // SAFETY: every x86-64 has the instruction.
    let now = || unsafe { _rdtsc() };
    let begin = now();
    let length = (begin.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % at_most;
    while now().wrapping_sub(begin) < length {
        core::hint::spin_loop();
    }
}

fn hold_up_when_idle() {
    let idle = find(true, c"all_cpu_threads_idle");
    // SAFETY: QEMU declares it as `bool (void)`.
    if !idle.is_null() && unsafe { transmute::<*mut c_void, extern "C" fn() -> bool>(idle)() } {
        // SAFETY: it has no preconditions.
        unsafe { usleep(HELD_UP) };
    }
}

/// # Safety
/// As ppoll(2), which QEMU's main loop alone calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(fds: *mut c_void, count: usize, time: *const c_void, mask: *const c_void) -> c_int {
    type Poll = unsafe extern "C" fn(*mut c_void, usize, *const c_void, *const c_void) -> c_int;
    // SAFETY: the caller's.
    let result = unsafe { transmute::<*mut c_void, Poll>(find(false, c"ppoll"))(fds, count, time, mask) };
    spin(LATE);
    result
}

type Jump = unsafe extern "C" fn(*mut c_void, c_int) -> !;

/// # Safety
/// As siglongjmp(3): what programs built with `_FORTIFY_SOURCE` call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __longjmp_chk(to: *mut c_void, value: c_int) -> ! {
    hold_up_when_idle();
    // SAFETY: the caller's.
    unsafe { transmute::<*mut c_void, Jump>(find(false, c"__longjmp_chk"))(to, value) }
}

/// # Safety
/// As siglongjmp(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn siglongjmp(to: *mut c_void, value: c_int) -> ! {
    hold_up_when_idle();
    // SAFETY: the caller's.
    unsafe { transmute::<*mut c_void, Jump>(find(false, c"siglongjmp"))(to, value) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: nothing runs after it.
    unsafe { _exit(101) }
}

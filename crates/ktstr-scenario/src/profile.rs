//! The coverage counters of this process, in builds with `-C instrument-coverage --cfg coverage`; in all others nothing.
//!
//! The profile runtime writes its file when a process ends by itself. A guest has no file that outlives it, and the constructor
//! may come before the runtime's own, so both ask for the counters themselves. Forked workers share none with their parent: what
//! only they run is not counted.

#[cfg(coverage)]
mod runtime {
    use std::ffi::{c_char, c_int};

    // LLVM: compiler-rt/lib/profile/InstrProfiling.h; linked by rustc into whatever is built with `-C instrument-coverage`.
    unsafe extern "C" {
        pub fn __llvm_profile_get_size_for_buffer() -> u64;
        pub fn __llvm_profile_write_buffer(buffer: *mut c_char) -> c_int;
        pub fn __llvm_profile_initialize_file();
        pub fn __llvm_profile_write_file() -> c_int;
    }
}

/// The counters as the content of a `.profraw` file; `None` in a build without any.
#[must_use]
pub fn counters() -> Option<Vec<u8>> {
    #[cfg(coverage)]
    {
        // SAFETY: the function only reads sizes that the linker fixed.
        let size = unsafe { runtime::__llvm_profile_get_size_for_buffer() };
        let mut bytes = vec![0u8; usize::try_from(size).ok()?];
        // SAFETY: the buffer has the size that the runtime itself asked for; counters that others raise meanwhile are read torn
        // at worst, and they are plain integers.
        let failed = unsafe { runtime::__llvm_profile_write_buffer(bytes.as_mut_ptr().cast()) };
        (failed == 0).then_some(bytes)
    }
    #[cfg(not(coverage))]
    None
}

/// Writes the file that the runtime would write at the end (`LLVM_PROFILE_FILE`), which then writes it no second time.
pub fn flush() {
    #[cfg(coverage)]
    // SAFETY: both may be called at any time by one thread; the constructor calls them while there is only one.
    unsafe {
        runtime::__llvm_profile_initialize_file();
        let _ = runtime::__llvm_profile_write_file();
    }
}

//! A guest that uses any port with any size.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ktstr_vmm::fuzzing::drive_bus(data));

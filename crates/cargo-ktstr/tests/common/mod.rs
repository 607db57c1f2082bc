//! The program under test, and the fixture of the fault tests beside it.
#![allow(dead_code)] // Each test file uses its part.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// `cargo ktstr`.
pub fn ktstr() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-ktstr"));
    command.arg("ktstr").stdin(Stdio::null()).env_remove("KTSTR_KERNEL_LIST");
    command
}

/// A test binary: the fixture, which the whole workspace's build leaves beside this program.
pub fn fixture() -> Command {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_cargo-ktstr")).with_file_name("fixture");
    assert!(path.exists(), "there is no {}: run `cargo build -p fault-tests`", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).env_remove("NEXTEST").env_remove("KTSTR_KERNEL_LIST").env_remove("KTSTR_NO_SKIP_MODE");
    command
}

/// What a program wrote.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

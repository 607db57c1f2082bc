//! This program as `RUSTC_WRAPPER`: the workspace's crates and the harness count, the rest of the world is built as ever.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Set for cargo's children, and then this program is a wrapper.
pub const WRAPPER: &str = "KTSTR_COVERAGE_RUSTC";

/// rustc, with flags that make a crate count where it should (cargo: "Environment variables", `RUSTC_WRAPPER`).
pub fn rustc() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(rustc) = words.next() else {
        eprintln!("error: {WRAPPER} is set, and this is no call of rustc; unset it");
        return ExitCode::FAILURE;
    };
    let words: Vec<OsString> = words.collect();
    let mut command = Command::new(rustc);
    command.args(&words).env_remove(WRAPPER);
    let home = std::env::var_os("CARGO_HOME");
    let dir = std::env::var_os("CARGO_MANIFEST_DIR");
    if counts(&words, dir.as_deref().map(Path::new), home.as_deref().map(Path::new)) {
        command.args(["-C", "instrument-coverage", "--cfg", "coverage"]);
    }
    let error = command.exec();
    eprintln!("error: failed to start rustc: {error}");
    ExitCode::FAILURE
}

/// A dependency's lines are nobody's question, and each counter must come out of the guest.
fn counts(words: &[OsString], dir: Option<&Path>, home: Option<&Path>) -> bool {
    let value = |name: &str| {
        let at = words.iter().position(|w| w == name)?;
        words.get(at + 1)?.to_str()
    };
    let Some(name) = value("--crate-name") else { return false };
    if name.starts_with("build_script_") || value("--crate-type") == Some("proc-macro") {
        return false;
    }
    let foreign = |dir: &Path| {
        let below = |place: &str| {
            let parts: Vec<_> = place.split('/').collect();
            dir.components()
                .collect::<Vec<_>>()
                .windows(2)
                .any(|w| w[0].as_os_str() == parts[0] && w[1].as_os_str() == parts[1])
        };
        home.is_some_and(|home| dir.starts_with(home)) || below("registry/src") || below("git/checkouts")
    };
    name.starts_with("ktstr") || !dir.is_some_and(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_workspace_s_or_the_harness_s_counts_and_nothing_else() {
        let counts = |line: &str, dir: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            counts(&words, Some(Path::new(dir)), Some(Path::new("/home/me/.cargo")))
        };
        assert!(counts("--crate-name sched --test", "/w/sched"));
        assert!(!counts("--crate-name serde --crate-type lib", "/home/me/.cargo/registry/src/x/serde-1"));
        assert!(!counts("--crate-name serde --crate-type lib", "/elsewhere/registry/src/x/serde-1"));
        assert!(counts("--crate-name ktstr_scenario --crate-type lib", "/home/me/.cargo/git/checkouts/k/1/crates/s"));
        assert!(!counts("--crate-name ktstr_macros --crate-type proc-macro", "/w/macros"));
        assert!(!counts("--crate-name build_script_build", "/w/sched"));
        assert!(!counts("- --print cfg", "/w/sched"));
    }
}

//! One binary, three lives: it lists its tests, runs one of them, and is PID 1 of the machine the test runs in.
//!
//! Registry, constructor, nextest protocol, gauntlet and evaluation. Everything that decides is a function of values
//! ([`catalogue`], [`list`], [`evaluate`]); the constructor and [`run`](run_ktstr_test) feed them.
#![deny(missing_docs)]

mod age;
mod answers;
mod args;
mod cast;
pub mod catalogue;
mod cpu_cap;
mod ctor;
mod entry;
mod env;
pub mod evaluate;
mod export;
mod guest_profile;
pub mod host_noise;
mod host_only;
pub mod list;
mod machine;
pub mod measured;
mod names;
mod notes;
pub mod post_vm;
mod programs;
mod record;
mod registry;
mod repro;
mod resolve;
mod run;
mod schedulers;
pub mod shape;
mod simulation;
mod validate;
mod verifier;
mod workspace;

pub use entry::{DEFAULT_DURATION_S, DEFAULT_WATCHDOG_S, KtstrTestEntry};
pub use env::{VARIABLES, Variable};
pub use ktstr_sidecar::PerfDeltaAssertion;
pub use post_vm::{PostVmFn, VmResult, post_vm_skip};
pub use registry::{KTSTR_SCHEDULERS, KTSTR_TESTS, real_entries};
pub use run::{run_as_libtest, run_ktstr_test};
pub use validate::EntryError;

/// Everything worth saying of the records of a directory (`KTSTR_SIDECAR_DIR` when none is given), as Markdown; "" when there are
/// none, or none can be read.
#[must_use]
pub fn analyze_sidecars(dir: Option<&std::path::Path>) -> String {
    let from_env = std::env::var_os("KTSTR_SIDECAR_DIR").filter(|d| !d.is_empty()).map(std::path::PathBuf::from);
    let dir = dir.map(std::path::Path::to_owned).or(from_env);
    dir.and_then(|dir| ktstr_sidecar::analyze_sidecars(&dir).ok()).unwrap_or_default()
}

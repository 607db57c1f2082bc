//! PID 1 of the test machine: the test's own binary, entered before its `main`.
//!
//! It mounts what a test needs, says which machine this is, launches the scheduler and sees it attached, runs the test
//! function, sees the scheduler attached still, and reports all of it, frame by frame. Nothing here judges; whatever goes
//! wrong is said, and what cannot be said is noticed by the host as silence.
#![deny(missing_docs)]

mod crash;
mod grace;
mod init;
mod kmsg;
mod link;
mod mount;
mod params;
mod port;
mod power;
mod readback;
mod reaper;
mod shell;
mod trace;

pub use init::run;
pub use params::{GuestParams, PARAMS_SCHEMA};
pub use shell::{ShellParams, Terminal, run_shell};
pub use trace::Tracing;

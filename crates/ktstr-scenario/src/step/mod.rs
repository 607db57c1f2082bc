//! Scenarios in steps: written (`spec`, `op`), looked through (`world`, `plan`), carried out (`engine`, `perform`, `party`, `timeline`).

mod engine;
mod hotplug;
mod op;
mod party;
mod perform;
mod plan;
mod spec;
mod timeline;
mod world;

pub(crate) use engine::{fault, run};
pub(crate) use hotplug::switch;
pub use op::Op;
pub(crate) use plan::plan;
pub use spec::{Backdrop, HoldSpec, Step};

//! The verifier sweep: each declared scheduler on each kernel and preset, loaded, attached, and given work.

mod cell;
mod collapse;
mod gate;
mod run;
mod workload;

pub use cell::{Cell, cells};
pub use run::run_cell;
pub use workload::{FUNCTION, exercise};

use crate::env::Settings;
use crate::registry::KTSTR_SCHEDULERS;

/// The warning under `cargo test` when cells would exist: they need a kernel list.
#[must_use]
pub fn lost_cells_warning(settings: &Settings) -> Option<String> {
    let schedulers = KTSTR_SCHEDULERS.iter().filter(|s| s.has_verifier_cells()).count();
    (schedulers > 0 && !settings.kernels.is_empty()).then(|| {
        format!("ktstr: WARNING: under `cargo test` the verifier cells of {schedulers} declared schedulers are not run")
    })
}

//! Verifier cells: declared schedulers are known here already, the sweep itself is not part of this version.

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

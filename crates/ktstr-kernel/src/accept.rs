//! Which kernels a scheduler is declared for.

use crate::id::{KernelIdError, split_range};
use crate::label::sanitize_kernel_label;
use crate::version::decompose_version_for_compare;

/// Whether a kernel with this raw label may run under a scheduler that declares `specs`; no specs accept all.
#[must_use]
pub fn kernel_accepts(label: &str, specs: &[&str]) -> bool {
    specs.is_empty() || specs.iter().any(|spec| accepts_one(label, spec))
}

/// Checks the specs themselves.
///
/// # Errors
/// An inverted range, with the swap.
pub fn check_kernel_specs(specs: &[&str]) -> Result<(), KernelIdError> {
    specs.iter().try_for_each(|spec| match split_range(spec) {
        Some((a, b)) if decompose_version_for_compare(a) > decompose_version_for_compare(b) => {
            Err(KernelIdError::Inverted { start: a.to_owned(), end: b.to_owned() })
        }
        _ => Ok(()),
    })
}

fn accepts_one(label: &str, spec: &str) -> bool {
    if let Some((start, end)) = split_range(spec) {
        let key = decompose_version_for_compare(label);
        return key.is_some()
            && decompose_version_for_compare(start) <= key
            && key <= decompose_version_for_compare(end);
    }
    label == spec || sanitize_kernel_label(label) == sanitize_kernel_label(spec)
}

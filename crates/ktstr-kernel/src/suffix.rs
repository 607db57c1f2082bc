//! Peeling the kernel off a test name.

use crate::label::sanitize_kernel_label;
use thiserror::Error;

/// A name without the suffix that it must have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{name}` ends in none of the {kernels} kernels of KTSTR_KERNEL_LIST; `cargo nextest list` shows the names there are"
)]
pub struct SuffixError {
    /// The name.
    pub name: String,
    /// How many kernels the list has.
    pub kernels: usize,
}

/// The bare name and the raw label behind its suffix; with fewer than two labels there is no suffix to peel.
///
/// # Errors
/// With two or more labels, a name that ends in none of them.
pub fn strip_kernel_suffix(name: &str, labels: &[&str]) -> Result<(String, Option<String>), SuffixError> {
    if labels.len() < 2 {
        return Ok((name.to_owned(), None));
    }
    labels
        .iter()
        .filter_map(|label| {
            let suffix = sanitize_kernel_label(label);
            let bare = name.strip_suffix(suffix.as_str())?.strip_suffix('/')?;
            Some((bare.to_owned(), Some((*label).to_owned())))
        })
        .min_by_key(|(bare, _)| bare.len())
        .ok_or_else(|| SuffixError { name: name.to_owned(), kernels: labels.len() })
}

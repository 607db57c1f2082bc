//! `KTSTR_KERNEL_LIST`: `label=path;label=path`.

use crate::label::{SanitizedKernelLabel, sanitize_kernel_label};
use std::path::PathBuf;
use thiserror::Error;

/// One kernel of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelEntry {
    /// As written.
    pub label: String,
    /// For test names.
    pub sanitized: SanitizedKernelLabel,
    /// Image, directory or cache entry.
    pub path: PathBuf,
}

/// What the list cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelListError {
    /// Empty, with blanks around it, or with `;` or `=` in it.
    #[error("kernel label `{0}` cannot be listed: it must not be empty, hold `;` or `=`, or begin or end with a blank")]
    Label(String),
    /// Empty, with blanks around it, with `;` in it, or not UTF-8.
    #[error("kernel path `{0}` cannot be listed: it must not be empty, hold `;`, or begin or end with a blank")]
    Path(String),
}

/// Reads a list; what is no `label=path` is dropped.
#[must_use]
pub fn parse_kernel_list(text: &str) -> Vec<KernelEntry> {
    text.split(';')
        .filter_map(|segment| {
            let (label, path) = segment.trim().split_once('=')?;
            let (label, path) = (label.trim(), path.trim());
            (!label.is_empty() && !path.is_empty()).then(|| KernelEntry {
                label: label.to_owned(),
                sanitized: sanitize_kernel_label(label),
                path: path.into(),
            })
        })
        .collect()
}

/// Writes a list that reads back as the same.
///
/// # Errors
/// The label or path that the format cannot carry.
pub fn write_kernel_list(kernels: &[(String, PathBuf)]) -> Result<String, KernelListError> {
    let mut segments = Vec::with_capacity(kernels.len());
    for (label, path) in kernels {
        if label.is_empty() || label.trim() != label || label.contains([';', '=']) {
            return Err(KernelListError::Label(label.clone()));
        }
        let shown = path.to_string_lossy();
        let carried = path.to_str().filter(|p| !p.is_empty() && p.trim() == *p && !p.contains(';'));
        let Some(carried) = carried else {
            return Err(KernelListError::Path(shown.into_owned()));
        };
        segments.push(format!("{label}={carried}"));
    }
    Ok(segments.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(raw in prop::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..5)) {
            let kernels: Vec<(String, PathBuf)> = raw.into_iter().map(|(l, p)| (l, p.into())).collect();
            if let Ok(text) = write_kernel_list(&kernels) {
                let read: Vec<(String, PathBuf)> =
                    parse_kernel_list(&text).into_iter().map(|k| (k.label, k.path)).collect();
                prop_assert_eq!(read, kernels);
            }
        }
    }
}

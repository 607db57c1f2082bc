//! Kernel labels made fit for test names.

use std::fmt;

/// A label that matches `kernel_[a-z0-9_]*`; only [`sanitize_kernel_label`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SanitizedKernelLabel(String);

impl SanitizedKernelLabel {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SanitizedKernelLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// `kernel_` and the label, lower-cased, every run of other characters than ASCII letters and digits as one `_`.
#[must_use]
pub fn sanitize_kernel_label(raw: &str) -> SanitizedKernelLabel {
    let words = raw.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let tail: Vec<String> = words.map(str::to_ascii_lowercase).collect();
    SanitizedKernelLabel(format!("kernel_{}", tail.join("_")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_becomes_a_label_and_its_tail_stays(raw in "\\PC*") {
            let label = sanitize_kernel_label(&raw);
            let tail = label.as_str().strip_prefix("kernel_").unwrap();
            prop_assert!(tail.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            prop_assert!(!tail.starts_with('_') && !tail.ends_with('_') && !tail.contains("__"));
            prop_assert_eq!(sanitize_kernel_label(tail), label.clone());
        }
    }
}

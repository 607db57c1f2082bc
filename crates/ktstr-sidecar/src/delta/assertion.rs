//! Limits that a test sets for its own figures, in place of the registry's.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A figure, which way is better, and how much of a loss a comparison lets pass.
///
/// The limit stands in place of both gates of the registry; the noise gates stay: a loss must be larger than the limit *and* than
/// chance. A figure that a test asserts and that no run of a side has makes the comparison inconclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerfDeltaAssertion {
    /// The figure: a metric of the test's own, or one of `cargo ktstr stats list-metrics`.
    pub figure: Cow<'static, str>,
    /// Less of it is better.
    pub lower_is_better: bool,
    /// The largest loss of the median that is let pass, as a share of the older one: 0.2 for a fifth.
    pub max_loss: f64,
}

impl PerfDeltaAssertion {
    /// Of a figure of which less is better.
    #[must_use]
    pub const fn lower(figure: &'static str, max_loss: f64) -> Self {
        Self { figure: Cow::Borrowed(figure), lower_is_better: true, max_loss }
    }

    /// Of a figure of which more is better.
    #[must_use]
    pub const fn higher(figure: &'static str, max_loss: f64) -> Self {
        Self { figure: Cow::Borrowed(figure), lower_is_better: false, max_loss }
    }
}

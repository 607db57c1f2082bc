//! A claim about values over time.

use super::series::Series;
use super::{Finding, conclude, rule};
use crate::ctx::Ctx;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A claim about a series. Every one answers whether it holds, and is recorded in any case; fewer than two samples, a value
/// that is no number, or time that goes back make it inconclusive.
#[derive(Debug)]
#[must_use]
pub struct ClaimOver<'a> {
    ctx: &'a Ctx,
    what: &'a str,
    series: &'a Series,
}

impl<'a> ClaimOver<'a> {
    pub(crate) const fn new(ctx: &'a Ctx, what: &'a str, series: &'a Series) -> Self {
        Self { ctx, what, series }
    }

    /// Holds when no value is below the one before it.
    pub fn nondecreasing(self) -> bool {
        self.conclude(rule::nondecreasing(self.series.points()))
    }

    /// Holds when the change from each sample to the next, for each second, lies in the range.
    #[allow(clippy::needless_pass_by_value, reason = "a range is a literal; `&(1.0..=2.0)` would read badly")]
    pub fn rate_within(self, range: RangeInclusive<f64>) -> bool {
        self.conclude(rule::rate_within(self.series.points(), *range.start(), *range.end()))
    }

    /// Holds when every value is at most so many percent of the mean away from it.
    pub fn steady_within(self, pct: f64) -> bool {
        self.conclude(rule::steady_within(self.series.points(), pct))
    }

    /// Holds when from `by` on, in two samples at least, every value is at most `tolerance` away from `to`.
    pub fn converges(self, to: f64, tolerance: f64, by: Duration) -> bool {
        self.conclude(rule::converges(self.series.points(), to, tolerance, by.as_secs_f64()))
    }

    /// Holds when every value is as wanted.
    pub fn always(self, wanted: impl Fn(f64) -> bool) -> bool {
        self.conclude(rule::always(self.series.points(), wanted))
    }

    fn conclude(&self, finding: Finding) -> bool {
        conclude(self.ctx, self.what, finding)
    }
}

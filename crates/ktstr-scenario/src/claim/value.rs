//! A claim about one value.

use super::{Finding, conclude};
use crate::ctx::Ctx;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::fmt::Display;

/// A claim without its value.
#[derive(Debug)]
#[must_use]
pub struct Claim<'a> {
    ctx: &'a Ctx,
    what: &'a str,
}

/// A claim that waits for its limit. Every comparison answers whether it holds, and is recorded in any case; a value that
/// cannot be compared, NaN, never holds.
#[derive(Debug)]
#[must_use]
pub struct ClaimValue<'a, T> {
    ctx: &'a Ctx,
    what: &'a str,
    value: Result<T, String>,
}

impl<'a> Claim<'a> {
    pub(crate) const fn new(ctx: &'a Ctx, what: &'a str) -> Self {
        Self { ctx, what }
    }

    /// What was measured.
    pub fn value<T: PartialOrd + Display>(self, value: T) -> ClaimValue<'a, T> {
        ClaimValue { ctx: self.ctx, what: self.what, value: Ok(value) }
    }

    /// A quotient; where there is nothing to divide by, every comparison is inconclusive.
    pub fn ratio(self, over: f64, under: f64) -> ClaimValue<'a, f64> {
        let quotient = over / under;
        // A subnormal number is what is left of a difference of equal ones: no size to compare with.
        let known = under.is_normal() && quotient.is_finite();
        let value = if known { Ok(quotient) } else { Err(format!("{over} / {under} is no ratio")) };
        ClaimValue { ctx: self.ctx, what: self.what, value }
    }

    /// Holds when it is so.
    pub fn is_true(self, so: bool) -> bool {
        self.value(so).equals(true)
    }

    /// Holds when it is not so.
    pub fn is_false(self, so: bool) -> bool {
        self.value(so).equals(false)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "a limit is a literal; `&500` would read badly")]
impl<T: PartialOrd + Display> ClaimValue<'_, T> {
    /// Holds when the value is not above the limit.
    pub fn at_most(self, limit: T) -> bool {
        self.compare(|v| matches!(v.partial_cmp(&limit), Some(Less | Equal)), &format!("at most {limit}"))
    }

    /// Holds when the value is not below the limit.
    pub fn at_least(self, limit: T) -> bool {
        self.compare(|v| matches!(v.partial_cmp(&limit), Some(Greater | Equal)), &format!("at least {limit}"))
    }

    /// Holds when the value is above the limit.
    pub fn above(self, limit: T) -> bool {
        self.compare(|v| v.partial_cmp(&limit) == Some(Greater), &format!("above {limit}"))
    }

    /// Holds when the value is below the limit.
    pub fn below(self, limit: T) -> bool {
        self.compare(|v| v.partial_cmp(&limit) == Some(Less), &format!("below {limit}"))
    }

    /// Holds when the value equals the other.
    pub fn equals(self, other: T) -> bool {
        self.compare(|v| v.partial_cmp(&other) == Some(Equal), &format!("{other}"))
    }

    /// Holds when the value is another than this.
    pub fn differs_from(self, other: T) -> bool {
        self.compare(|v| matches!(v.partial_cmp(&other), Some(Less | Greater)), &format!("other than {other}"))
    }

    /// Holds when the value lies between both limits, ends included.
    pub fn within(self, low: T, high: T) -> bool {
        let inside = |v: &T| {
            matches!(v.partial_cmp(&low), Some(Greater | Equal)) && matches!(v.partial_cmp(&high), Some(Less | Equal))
        };
        self.compare(inside, &format!("from {low} to {high}"))
    }

    fn compare(&self, holds: impl Fn(&T) -> bool, wanted: &str) -> bool {
        let finding = match &self.value {
            Ok(value) if holds(value) => Finding::Holds(format!("{value} is {wanted}")),
            Ok(value) => Finding::Broken(format!("{value} is not {wanted}")),
            Err(why) => Finding::Unknown(format!("{why}, so whether it is {wanted} is not known")),
        };
        conclude(self.ctx, self.what, finding)
    }
}

impl ClaimValue<'_, f64> {
    /// Holds when the value is at most `pct` percent of `other` away from it; beside zero, percent mean nothing and the claim is
    /// inconclusive.
    pub fn near(self, other: f64, pct: f64) -> bool {
        if !other.is_normal() {
            let finding = match &self.value {
                Ok(value) => Finding::Unknown(format!("{value} cannot be {pct} % near {other}")),
                Err(why) => Finding::Unknown(why.clone()),
            };
            return conclude(self.ctx, self.what, finding);
        }
        self.compare(|v| (v - other).abs() <= other.abs() * pct / 100.0, &format!("within {pct} % of {other}"))
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
pub(super) mod tests;

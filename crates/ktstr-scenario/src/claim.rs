//! Comparisons written in a test body.

use crate::ctx::Ctx;
use ktstr_verdict::{CheckKind, Detail, Outcome};
use std::fmt::Display;

/// A claim without its value.
#[derive(Debug)]
#[must_use]
pub struct Claim<'a> {
    ctx: &'a Ctx,
    what: &'a str,
}

/// A claim that waits for its limit.
#[derive(Debug)]
#[must_use]
pub struct ClaimValue<'a, T> {
    ctx: &'a Ctx,
    what: &'a str,
    value: T,
}

impl<'a> Claim<'a> {
    pub(crate) const fn new(ctx: &'a Ctx, what: &'a str) -> Self {
        Self { ctx, what }
    }

    /// What was measured.
    pub fn value<T: PartialOrd + Display>(self, value: T) -> ClaimValue<'a, T> {
        ClaimValue { ctx: self.ctx, what: self.what, value }
    }
}

impl<T: PartialOrd + Display> ClaimValue<'_, T> {
    /// Holds when the value is not above the limit; the answer is whether it holds, and it is recorded in any case.
    #[allow(clippy::needless_pass_by_value, reason = "a limit is a literal; `&500` would read badly")]
    pub fn at_most(self, limit: T) -> bool {
        self.conclude(self.value <= limit, &format!("at most {limit}"))
    }

    /// Holds when the value is not below the limit.
    #[allow(clippy::needless_pass_by_value, reason = "a limit is a literal; `&500` would read badly")]
    pub fn at_least(self, limit: T) -> bool {
        self.conclude(self.value >= limit, &format!("at least {limit}"))
    }

    /// Holds when the value equals the other.
    #[allow(clippy::needless_pass_by_value, reason = "a limit is a literal; `&500` would read badly")]
    pub fn equals(self, other: T) -> bool {
        self.conclude(self.value == other, &format!("{other}"))
    }

    /// Holds when the value lies between both limits, ends included.
    #[allow(clippy::needless_pass_by_value, reason = "a limit is a literal; `&500` would read badly")]
    pub fn within(self, low: T, high: T) -> bool {
        self.conclude(self.value >= low && self.value <= high, &format!("from {low} to {high}"))
    }

    fn conclude(&self, holds: bool, wanted: &str) -> bool {
        self.ctx.record(if holds {
            Outcome::Pass
        } else {
            let message = format!("claim `{}`: {} is not {wanted}", self.what, self.value);
            Outcome::Fail { detail: Detail::new(CheckKind::Claim, message) }
        });
        holds
    }
}

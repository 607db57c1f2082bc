//! Seconds that can be compared and added.

use std::cmp::Ordering;
use thiserror::Error;

/// A finite number of seconds, zero or more.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Secs(f64);

/// NaN, negative or infinite seconds.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{0} is not a number of seconds: it must be finite and not negative")]
pub struct SecsError(f64);

impl Secs {
    /// No time at all.
    pub const ZERO: Self = Self(0.0);

    /// Takes what is finite and not negative.
    ///
    /// # Errors
    /// NaN, negative numbers and infinity.
    pub fn new(secs: f64) -> Result<Self, SecsError> {
        // Adding 0.0 turns a negative zero into zero, so that equal seconds are equal bits.
        if secs.is_finite() && secs >= 0.0 { Ok(Self(secs + 0.0)) } else { Err(SecsError(secs)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Eq for Secs {}

impl PartialOrd for Secs {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Secs {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// `KTSTR_BUDGET_SECS` is not a positive number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a positive number of seconds; give one such as 600, or unset it to run everything")]
pub struct BudgetError(String);

/// The budget of `KTSTR_BUDGET_SECS`; `None` for an empty text.
///
/// # Errors
/// Zero, negative numbers, NaN, infinity and text, each named.
pub fn parse_budget(text: &str) -> Result<Option<Secs>, BudgetError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>().ok().and_then(|s| Secs::new(s).ok()) {
        Some(secs) if secs > Secs::ZERO => Ok(Some(secs)),
        _ => Err(BudgetError(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn seconds_are_exactly_the_finite_numbers_from_zero_up(secs in prop::num::f64::ANY) {
            prop_assert_eq!(Secs::new(secs).is_ok(), secs.is_finite() && secs >= 0.0);
        }

        #[test]
        fn a_budget_is_any_positive_number_with_blanks_around_it(secs in 1e-3f64..1e9) {
            prop_assert_eq!(parse_budget(&format!(" {secs}\n")).unwrap().map(Secs::get), Some(secs));
        }

        #[test]
        fn a_refused_budget_names_its_text(text in "[a-z]{1,8}|-[0-9]{1,3}|0|-0") {
            let error = parse_budget(&text).unwrap_err().to_string();
            prop_assert!(error.contains(&text), "{}", error);
        }
    }

    #[test]
    fn no_text_is_no_budget() {
        assert_eq!(parse_budget(""), Ok(None));
        assert_eq!(parse_budget("  "), Ok(None));
    }

    #[test]
    fn text_and_what_is_not_finite_or_not_above_zero_is_no_budget() {
        for bad in ["0", "-0", "-3", "NaN", "inf", "-inf", "1e999", "soon", "10s"] {
            assert!(parse_budget(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_negative_zero_is_zero() {
        assert_eq!(Secs::new(-0.0).unwrap().cmp(&Secs::ZERO), Ordering::Equal);
    }
}

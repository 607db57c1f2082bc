//! `KTSTR_OVERCOMMIT`: more guest CPUs than the host has, honestly.

use thiserror::Error;

/// The text is not a positive number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("KTSTR_OVERCOMMIT={0} is not a positive number: set it to 4, say, or unset it")]
pub struct OvercommitError(String);

/// The factor, 1 when unset.
///
/// # Errors
/// Text, zero, negative numbers, NaN and infinity.
pub fn parse_overcommit(text: Option<&str>) -> Result<f64, OvercommitError> {
    let Some(text) = text else { return Ok(1.0) };
    match text.trim().parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err(OvercommitError(text.to_owned())),
    }
}

/// CPUs a machine may have on a host with `host_cpus`.
#[must_use]
pub fn cpu_budget(host_cpus: u32, overcommit: f64) -> u32 {
    let budget = (f64::from(host_cpus) * overcommit).floor();
    // Saturates on both sides: `as` from f64 clamps to the range of u32 and turns NaN into 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let cpus = budget as u32;
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_positive_numbers_are_taken() {
        assert_eq!(parse_overcommit(None), Ok(1.0));
        assert_eq!(parse_overcommit(Some("2.5")), Ok(2.5));
        for bad in ["", "0", "-1", "NaN", "inf", "many"] {
            assert!(parse_overcommit(Some(bad)).is_err(), "{bad}");
        }
        assert_eq!(cpu_budget(2, 2.5), 5);
    }
}

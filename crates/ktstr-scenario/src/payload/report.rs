//! A program's figures as the fields of a struct: what `#[derive(Payload)]` writes.

use super::declare::Payload;
use super::running::RunningPayload;
use crate::ctx::Ctx;
use anyhow::{Result, bail};
use ktstr_verdict::Verdict;

/// Integers up to here are exact in an `f64` (2⁵³).
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A type that a figure can become.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold a figure of a program: use f64, u64, or an Option of them"
)]
pub trait FromMetric: Sized {
    /// Whether the program may leave the figure out.
    const OPTIONAL: bool;

    /// The value; `None` when the figure is missing or of another kind.
    fn from_metric(figure: Option<f64>) -> Option<Self>;
}

impl FromMetric for f64 {
    const OPTIONAL: bool = false;

    fn from_metric(figure: Option<f64>) -> Option<Self> {
        figure
    }
}

impl FromMetric for u64 {
    const OPTIONAL: bool = false;

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
    fn from_metric(figure: Option<f64>) -> Option<Self> {
        figure.filter(|f| f.fract() == 0.0 && (0.0..=EXACT).contains(f)).map(|f| f as Self)
    }
}

impl<T: FromMetric> FromMetric for Option<T> {
    const OPTIONAL: bool = true;

    fn from_metric(figure: Option<f64>) -> Option<Self> {
        match figure {
            None => Some(None),
            some => T::from_metric(some).map(Some),
        }
    }
}

/// A struct whose fields are the figures of a program; `#[derive(Payload)]` implements it.
pub trait PayloadReport: Sized {
    /// The program.
    const PAYLOAD: Payload;

    /// The struct from the figures by their names.
    ///
    /// # Errors
    /// The name of a figure that is missing or of another kind.
    fn from_figures(figure: &dyn Fn(&str) -> Option<f64>) -> Result<Self, &'static str>;

    /// Runs the program to its end in the body of a test. How it ended, its bounds and its figures are recorded; the figures
    /// come back as well.
    ///
    /// The test names the program in `extra_include_files`, so that it is in the guest.
    ///
    /// # Errors
    /// It could not be started, or it ended without its figures.
    fn run(ctx: &Ctx) -> Result<Self> {
        let payload: &'static Payload = const { &Self::PAYLOAD };
        let result = RunningPayload::spawn(ctx, payload, None)?.wait()?;
        let figures = Self::from_figures(&|name| result.metrics.get(&format!("{}.{name}", payload.name)).copied());
        match figures {
            Ok(figures) => {
                result.outcomes.iter().for_each(|outcome| ctx.record(outcome.clone()));
                result.metrics.iter().for_each(|(name, value)| ctx.metric(name, *value));
                Ok(figures)
            }
            Err(_) if result.is_fail() => bail!("{}", result.texts(Verdict::Fail)),
            Err(name) => bail!("payload `{}`: metric `{name}` is missing, or no whole number", payload.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_in_range_become_integers() {
        assert_eq!(u64::from_metric(Some(7.0)), Some(7));
        for bad in [Some(7.5), Some(-1.0), Some(1e300), None] {
            assert_eq!(u64::from_metric(bad), None, "{bad:?}");
        }
        assert_eq!(Option::<u64>::from_metric(None), Some(None));
        assert_eq!(Option::<u64>::from_metric(Some(0.5)), None);
        assert_eq!(f64::from_metric(None), None);
    }
}

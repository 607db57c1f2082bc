//! What can be claimed of values over time: pure functions from a series to a finding.

use super::Finding;
use super::Finding::{Broken, Holds, Unknown};

/// Why a series proves nothing: fewer than two values, a time that does not grow, or something that is no number.
fn useless(points: &[(f64, f64)]) -> Option<Finding> {
    if points.len() < 2 {
        return Some(Unknown(format!("{} samples are no series", points.len())));
    }
    if let Some((t, v)) = points.iter().find(|(t, v)| !t.is_finite() || !v.is_finite()) {
        return Some(Unknown(format!("{v} at {t} s is not a number")));
    }
    let back = points.windows(2).find(|w| w[1].0 <= w[0].0);
    back.map(|w| Unknown(format!("the sample at {} s comes after the one at {} s", w[1].0, w[0].0)))
}

/// No value is below the one before it.
pub fn nondecreasing(points: &[(f64, f64)]) -> Finding {
    if let Some(why) = useless(points) {
        return why;
    }
    match points.windows(2).find(|w| w[1].1 < w[0].1) {
        Some(w) => Broken(format!("fell from {} at {:.3} s to {} at {:.3} s", w[0].1, w[0].0, w[1].1, w[1].0)),
        None => Holds(format!("never fell in {} samples", points.len())),
    }
}

/// Every step's rate a second lies between both.
pub fn rate_within(points: &[(f64, f64)], low: f64, high: f64) -> Finding {
    if let Some(why) = useless(points) {
        return why;
    }
    let rate = |w: &[(f64, f64)]| (w[1].1 - w[0].1) / (w[1].0 - w[0].0);
    match points.windows(2).find(|w| !(low..=high).contains(&rate(w))) {
        Some(w) => {
            Broken(format!("{} a second from {:.3} s to {:.3} s is not from {low} to {high}", rate(w), w[0].0, w[1].0))
        }
        None => Holds(format!("every rate of {} samples was from {low} to {high} a second", points.len())),
    }
}

/// Every value is at most so many percent of the mean away from it.
pub fn steady_within(points: &[(f64, f64)], pct: f64) -> Finding {
    if let Some(why) = useless(points) {
        return why;
    }
    #[allow(clippy::cast_precision_loss)]
    let mean = points.iter().map(|(_, v)| v).sum::<f64>() / points.len() as f64;
    if !mean.is_normal() {
        return Unknown(format!("the mean is {mean}: percent of it mean nothing"));
    }
    // Asked this way round, a percentage that is no number holds for nothing.
    let steady = |v: f64| (v - mean).abs() <= mean.abs() * pct / 100.0;
    match points.iter().find(|(_, v)| !steady(*v)) {
        Some((t, v)) => Broken(format!("{v} at {t:.3} s is not within {pct} % of the mean {mean}")),
        None => Holds(format!("{} samples stayed within {pct} % of their mean {mean}", points.len())),
    }
}

/// From so many seconds on, and for two samples at least, every value is at most `tolerance` away from `to`.
pub fn converges(points: &[(f64, f64)], to: f64, tolerance: f64, by: f64) -> Finding {
    if let Some(why) = useless(points) {
        return why;
    }
    let late: Vec<&(f64, f64)> = points.iter().filter(|(t, _)| *t >= by).collect();
    let near = |v: f64| (v - to).abs() <= tolerance;
    if let Some((t, v)) = late.iter().find(|(_, v)| !near(*v)) {
        return Broken(format!("{v} at {t:.3} s is not within {tolerance} of {to}, wanted from {by} s on"));
    }
    if late.len() < 2 {
        return Unknown(format!("{} samples from {by} s on: nothing is known to have converged", late.len()));
    }
    Holds(format!("{} samples from {by} s on were within {tolerance} of {to}", late.len()))
}

/// Every value is as wanted.
pub fn always(points: &[(f64, f64)], wanted: impl Fn(f64) -> bool) -> Finding {
    if let Some(why) = useless(points) {
        return why;
    }
    match points.iter().find(|(_, v)| !wanted(*v)) {
        Some((t, v)) => Broken(format!("{v} at {t:.3} s is not as wanted")),
        None => Holds(format!("{} samples were as wanted", points.len())),
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;

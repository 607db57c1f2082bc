//! Checks: what is set, and what it finds.

mod fairness;
mod findings;
mod group;
mod isolation;
mod latency;
mod limits;
mod locality;
mod progress;
mod rates;
mod stats;

pub(crate) use findings::{Check, Findings, float};
pub(crate) use group::check_group;
pub use limits::Assert;

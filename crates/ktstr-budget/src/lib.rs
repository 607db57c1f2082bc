#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod estimate;
mod feature;
mod seconds;
mod select;
mod stats;
mod word_hash;

pub use estimate::{MeasuredPhases, estimate_duration};
pub use feature::{Features, djb2};
pub use seconds::{BudgetError, Secs, SecsError, parse_budget};
pub use select::{Candidate, WideCandidate, select, select_with};
pub use stats::{Stats, stats};

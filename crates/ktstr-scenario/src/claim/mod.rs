//! Comparisons written in a test body, of one value and of values over time.

mod over;
mod rule;
mod series;
mod value;

pub use over::ClaimOver;
pub use series::Series;
pub use value::{Claim, ClaimValue};

use crate::ctx::Ctx;
use ktstr_verdict::{CheckKind, Detail, Outcome};

/// What became of a claim, with the words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    Holds(String),
    Broken(String),
    Unknown(String),
}

/// Puts a claim's outcome on record; the answer is whether it holds.
fn conclude(ctx: &Ctx, what: &str, finding: Finding) -> bool {
    let detail = |text| Detail::new(CheckKind::Claim, format!("claim `{what}`: {text}"));
    match finding {
        Finding::Holds(text) => {
            ctx.record_pass(format!("claim `{what}`: {text}"));
            return true;
        }
        Finding::Broken(text) => ctx.record(Outcome::Fail { detail: detail(text) }),
        Finding::Unknown(text) => ctx.record(Outcome::Inconclusive { detail: detail(text) }),
    }
    false
}

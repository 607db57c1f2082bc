//! Checks: what is set, and what it finds.

mod limits;
mod worker;

pub use limits::Assert;
pub(crate) use worker::check_group;

//! The report: one HTML file that opens from disk, with every number's records and every failure's evidence in it.

mod cell;
mod chart;
mod delta;
mod escape;
mod gather;
mod heat;
mod page;

pub use gather::Gathered;
pub use page::{Report, html};

//! Cgroups: what a test declares, and the directories made from it.

mod def;
mod tree;

pub use def::CgroupDef;
pub(crate) use tree::{Group, Root};

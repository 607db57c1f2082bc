//! Cgroups: what a test declares, and the directories made from it.

mod asked;
mod bearing;
mod def;
mod janitor;
mod tree;
mod work_spec;

pub(crate) use asked::{Asked, AskedWork};
pub use def::CgroupDef;
pub(crate) use tree::{Group, Root};
pub use work_spec::WorkSpec;

#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod apic;
mod constraint;
mod cpu_list;
mod memory;
mod node;
mod oddity;
mod overcommit;
mod parse;
mod preset;
mod readback;
mod serial;
mod shape;
mod topology;

pub use apic::{ApicLayout, CpuPlace};
pub use constraint::TopologyConstraints;
pub use cpu_list::{cpu_list, parse_cpu_list};
pub use memory::{MIB_PER_CPU, MIN_VM_MIB, vm_memory_mib};
pub use node::{DISTANCE_LOCAL, DISTANCE_REMOTE, NumaNode};
pub use oddity::{Oddity, oddities};
pub use overcommit::{OvercommitError, cpu_budget, parse_overcommit};
pub use preset::{Preset, preset, presets};
pub use readback::{CpuSeen, NodeSeen, ReadBack, ReadBackMismatch};
pub use shape::shape;
pub use topology::{Topology, TopologyError};

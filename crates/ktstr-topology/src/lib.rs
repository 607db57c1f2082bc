//! Topology type and grammar, presets, constraints, CPU and APIC numbering: pure.
#![deny(missing_docs)]

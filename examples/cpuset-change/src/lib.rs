//! Cpusets that change under a running load: see `tests/cpuset.rs`.
//!
//! A test crate needs one dependency, `ktstr`, and nothing in `src/`; this file is here because cargo wants a target.

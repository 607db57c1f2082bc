//! CPUs that come and go under load: see `tests/hotplug.rs`.
//!
//! A test crate needs one dependency, `ktstr`, and nothing in `src/`; this file is here because cargo wants a target.

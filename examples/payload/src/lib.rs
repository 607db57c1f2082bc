//! Real programs as the load of a test: see `tests/payload.rs`.
//!
//! A test crate needs one dependency, `ktstr`, and nothing in `src/`; this file is here because cargo wants a target.

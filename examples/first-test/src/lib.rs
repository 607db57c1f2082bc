//! A first test of a scheduler with ktstr: see `tests/first.rs`.
//!
//! A test crate needs one dependency, `ktstr`, and nothing in `src/`; this file is here because cargo wants a target.

//! Tests of a scheduler of your own: see `tests/own.rs`.
//!
//! A test crate needs one dependency, `ktstr`, and nothing in `src/`; this file is here because cargo wants a target.

//! The same load under two schedulers: see `tests/ab.rs`.
//!
//! A test crate needs one dependency, `ktstr`, and nothing in `src/`; this file is here because cargo wants a target.

//! The per-run JSON record and where it is kept.
#![deny(missing_docs)]

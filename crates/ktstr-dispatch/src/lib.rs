//! Registry, constructor, nextest protocol, gauntlet and evaluation.
#![deny(missing_docs)]

//! Feature bits, duration estimate and coverage-maximising selection: pure.
#![deny(missing_docs)]

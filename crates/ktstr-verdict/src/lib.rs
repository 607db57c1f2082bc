//! Outcomes, the verdict lattice, host-error classes, markers and exit codes: pure.
#![deny(missing_docs)]

//! PID 1 of the test machine.
#![deny(missing_docs)]

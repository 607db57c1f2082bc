//! The ktstr_test attribute and declare_scheduler.
#![deny(missing_docs)]

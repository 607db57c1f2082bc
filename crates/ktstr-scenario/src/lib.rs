//! Schedulers, workloads and checks; the same code in guest and host_only runs.
#![deny(missing_docs)]

//! A test harness for Linux process schedulers: prelude and re-exports only.
#![deny(missing_docs)]

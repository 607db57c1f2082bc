//! One virtual machine interface over several accelerators.
#![deny(missing_docs)]

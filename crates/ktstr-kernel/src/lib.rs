//! Kernel labels and identifiers (pure); discovery, cache and fetching.
#![deny(missing_docs)]

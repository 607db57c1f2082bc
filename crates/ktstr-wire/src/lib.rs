//! Frames between guest and host: encode, decode, checksum, sequence.
#![deny(missing_docs)]

//! Computes without pause; looks at the clock once for each thousand rounds.

use crate::worker::Checkpoint;
use std::hint::black_box;

/// Rounds between two looks at clock and CPU: some µs, so that counting costs nothing and gaps are still seen.
pub const ROUNDS: u64 = 1000;

pub fn run(checkpoint: &Checkpoint<'_>) {
    while checkpoint.running() {
        burn(ROUNDS);
        checkpoint.progress(ROUNDS);
    }
}

/// Arithmetic that the compiler cannot leave out and no memory has a part in.
pub fn burn(rounds: u64) {
    let mut value = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..rounds {
        value = black_box(value.rotate_left(7).wrapping_mul(5));
    }
}

//! A histogram of latencies over the whole range of u64 nanoseconds.

use super::shared::Seen;

/// Steps within each power of two of a latency: an error below 1/16.
const STEPS: u64 = 16;
/// Buckets of a histogram.
pub const BUCKETS: usize = 64 * 16;

pub fn bucket(ns: u64) -> usize {
    let ns = ns.max(STEPS);
    let power = u64::from(ns.ilog2());
    let step = (ns >> (power - 4)) & (STEPS - 1);
    usize::try_from(power * STEPS + step).unwrap_or(BUCKETS - 1).min(BUCKETS - 1)
}

/// Upper end of a bucket.
fn bucket_top(index: usize) -> u64 {
    let (power, step) = (index as u64 / STEPS, index as u64 % STEPS);
    if power < 4 { STEPS } else { ((STEPS + step + 1) << (power - 4)).saturating_sub(1) }
}

/// A quantile of the wake-up latencies of all `seen`, ns; `None` when nothing woke.
pub fn quantile_ns(seen: &[Seen], q: f64) -> Option<u64> {
    let mut buckets = vec![0u64; BUCKETS];
    for (index, count) in seen.iter().flat_map(|w| &w.latency) {
        buckets[*index] += u64::from(*count);
    }
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = ((total as f64 * q).ceil() as u64).clamp(1, total);
    let mut below = 0;
    buckets
        .iter()
        .position(|count| {
            below += count;
            below >= rank
        })
        .map(bucket_top)
}

/// Upper ends and counts of the latency buckets of all `seen`.
pub fn latencies(seen: &[Seen]) -> impl Iterator<Item = (u64, u64)> {
    seen.iter().flat_map(|w| &w.latency).map(|(index, count)| (bucket_top(*index), u64::from(*count)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_within_a_sixteenth(ns in 16u64..u64::MAX / 2) {
            let top = bucket_top(bucket(ns));
            prop_assert!(top >= ns && top - ns <= ns / 16 + 1, "{} {}", ns, top);
        }
    }
}

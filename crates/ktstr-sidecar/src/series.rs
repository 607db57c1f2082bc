//! Values of one figure: exact while they are few, to half a percent when they are many.

/// Values that are kept as they are: more repeats than anybody makes of one variant on one commit, and half a KiB.
const EXACT: usize = 64;
/// Buckets that are made room for at once: doubling would leave half of it unused, in each of many thousand figures.
const ROOM: usize = 16;
/// Ratio between the bounds of a bucket: its middle is off by 0.5 % at most.
const RATIO: f64 = 1.01;

/// A place among the buckets: the logarithm with the value's sign, away from 0, which has a bucket of its own.
type Bucket = i32;

/// Values whose order never matters: what comes out depends on the values alone, whoever merged whom.
#[derive(Clone, Debug, Default)]
pub struct Series {
    exact: Vec<f64>,
    /// Buckets and what each holds, in the order of the values; used past [`EXACT`]. As many as there are values a hundredth apart,
    /// however many files they come from: 232 for each power of ten.
    buckets: Vec<(Bucket, u32)>,
    count: u64,
    ends: Option<(f64, f64)>,
}

impl Series {
    /// Adds one; what is no number is left out.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let (low, high) = self.ends.unwrap_or((value, value));
        self.ends = Some((low.min(value), high.max(value)));
        self.count += 1;
        if self.count <= EXACT as u64 {
            self.exact.push(value);
            return;
        }
        self.spill();
        self.add(bucket(value), 1);
    }

    fn add(&mut self, bucket: Bucket, count: u32) {
        match self.buckets.binary_search_by_key(&bucket, |(key, _)| *key) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => {
                if self.buckets.len() == self.buckets.capacity() {
                    self.buckets.reserve_exact(ROOM);
                }
                self.buckets.insert(at, (bucket, count));
            }
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        if let (Some((a, b)), Some((c, d))) = (self.ends, other.ends) {
            self.ends = Some((a.min(c), b.max(d)));
        } else {
            self.ends = self.ends.or(other.ends);
        }
        self.count += other.count;
        self.exact.extend(other.exact);
        if self.count > EXACT as u64 {
            self.spill();
        }
        for (key, count) in other.buckets {
            self.add(key, count);
        }
    }

    fn spill(&mut self) {
        for value in std::mem::take(&mut self.exact) {
            self.add(bucket(value), 1);
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The values, while they are few enough to be kept; sorted.
    #[must_use]
    pub fn values(&self) -> Option<Vec<f64>> {
        (self.count <= EXACT as u64).then(|| {
            let mut values = self.exact.clone();
            values.sort_by(f64::total_cmp);
            values
        })
    }

    /// The values sorted, or, past those that are kept, the middles of their buckets, each as often as it holds one.
    #[must_use]
    pub fn spots(&self) -> Vec<f64> {
        self.values().unwrap_or_else(|| {
            let each = |(key, count): &(Bucket, u32)| {
                std::iter::repeat_n(middle(*key), usize::try_from(*count).unwrap_or(usize::MAX))
            };
            self.buckets.iter().flat_map(each).collect()
        })
    }

    /// The smallest and the largest.
    #[must_use]
    pub const fn ends(&self) -> Option<(f64, f64)> {
        self.ends
    }

    /// Quantile `q` from 0 to 1, between neighbours when exact; `None` of nothing.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // 0 ≤ q ≤ 1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (low, high) = self.ends?;
        if let Some(values) = self.values() {
            return Some(quantile(&values, q));
        }
        let rank = ((self.count - 1) as f64 * q).round() as u64;
        let mut seen = 0;
        for (key, count) in &self.buckets {
            seen += u64::from(*count);
            if seen > rank {
                return Some(middle(*key).clamp(low, high));
            }
        }
        Some(high)
    }

    /// The middle one.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// From the first quartile to the third, as a share of the median; `None` when that is 0.
    #[must_use]
    pub fn spread(&self) -> Option<f64> {
        let median = self.median().filter(|m| *m != 0.0)?;
        Some((self.quantile(0.75)? - self.quantile(0.25)?) / median.abs())
    }
}

/// Quantile of sorted values, linear between neighbours; NaN of nothing.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // 0 ≤ q ≤ 1.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = last as f64 * q.clamp(0.0, 1.0);
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

/// What makes all logarithms positive: no finite number but 0 has one below -75,000 at this ratio.
const ABOVE: i32 = 100_000;

#[allow(clippy::cast_possible_truncation)] // A logarithm of a finite number is below 75,000 at this ratio.
fn bucket(value: f64) -> Bucket {
    if value == 0.0 {
        return 0;
    }
    let log = (value.abs().ln() / RATIO.ln()).ceil() as i32 + ABOVE;
    if value > 0.0 { log } else { -log }
}

fn middle(bucket: Bucket) -> f64 {
    let size = |log: i32| RATIO.powi(log - ABOVE) * 2.0 / (RATIO + 1.0);
    match bucket {
        0 => 0.0,
        1.. => size(bucket),
        _ => -size(-bucket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Series {
        let mut series = Series::default();
        values.iter().for_each(|v| series.push(*v));
        series
    }

    proptest! {
        #[test]
        fn whoever_merges_whom_the_answers_are_the_same_and_half_a_percent_right(
            values in proptest::collection::vec(prop_oneof![-1e6..1e6, Just(0.0), 1e-3..1.0], 1..1500),
            cuts in proptest::collection::vec(0usize..1500, 0..6),
            q in 0.0f64..1.0,
        ) {
            let mut merged = Series::default();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(values.len())).collect();
            cuts.push(values.len());
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts {
                merged.merge(of(&values[from..cut]));
                from = cut;
            }
            let whole = of(&values);
            prop_assert_eq!(merged.quantile(q), whole.quantile(q));
            prop_assert_eq!(merged.count(), values.len() as u64);
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let seen = whole.quantile(q).unwrap();
            if values.len() <= EXACT {
                prop_assert_eq!(seen, quantile(&sorted, q));
            } else {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let place = ((sorted.len() - 1) as f64 * q).round() as usize;
                let true_value = sorted[place];
                prop_assert!((seen - true_value).abs() <= true_value.abs() * 0.0051, "{} is not {}", seen, true_value);
            }
        }
    }

    #[test]
    fn of_nothing_there_is_no_median_and_of_zeros_no_spread() {
        assert_eq!(Series::default().median(), None);
        assert_eq!(of(&[0.0, 0.0]).spread(), None);
        assert_eq!(of(&[f64::NAN]).count(), 0);
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]).median(), Some(2.5));
        assert_eq!(of(&[1.0, 2.0, 3.0]).spread(), Some(0.5));
    }
}

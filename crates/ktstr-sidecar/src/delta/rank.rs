//! Whether two samples differ at all: the rank-sum test of Wilcoxon, Mann and Whitney, two-sided.
//!
//! Under the claim that both came from one source every split of the pooled values is as likely as the one seen, whatever
//! the source looks like. So the test errs as often as it says, with ties, heavy tails and few values too.

/// Pooled values up to which all splits are counted; past it, the normal approximation is off by less than its own digits.
const EXACT: usize = 60;

/// Chance of ranks as uneven as these, or more, when both samples came from one source; 1 when a sample is empty.
pub fn rank_sum_p(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let mut pooled: Vec<(f64, bool)> = a.iter().map(|v| (*v, true)).chain(b.iter().map(|v| (*v, false))).collect();
    pooled.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (doubled, ties) = doubled_ranks(&pooled);
    let seen: usize = pooled.iter().zip(&doubled).filter(|((_, ours), _)| *ours).map(|(_, rank)| rank).sum();
    if pooled.len() <= EXACT {
        exact(&doubled, a.len(), seen)
    } else {
        normal(a.len() as f64, b.len() as f64, seen as f64 / 2.0, ties)
    }
}

/// The smallest chance that samples of these sizes can show; judging needs it to be small enough.
#[must_use]
pub fn smallest_p(a: usize, b: usize) -> f64 {
    // 2 / C(a + b, a)
    let splits: f64 = (1..=a).map(|i| (b + i) as f64 / i as f64).product();
    (2.0 / splits).min(1.0)
}

/// Twice the rank of each value, ties sharing their mean, so that all are whole; and the sum of t³ − t over ties.
fn doubled_ranks(sorted: &[(f64, bool)]) -> (Vec<usize>, f64) {
    let mut ranks = Vec::with_capacity(sorted.len());
    let mut ties = 0.0;
    while ranks.len() < sorted.len() {
        let first = ranks.len();
        let same = sorted[first..].iter().take_while(|v| v.0 == sorted[first].0).count();
        // Ranks first + 1 to first + same.
        ranks.extend(std::iter::repeat_n(2 * first + same + 1, same));
        let t = same as f64;
        ties += t * t * t - t;
    }
    (ranks, ties)
}

/// Counts the ways to pick as many ranks as `a` has, by their sum.
fn exact(doubled: &[usize], a: usize, seen: usize) -> f64 {
    let most: usize = doubled.iter().sum();
    let mut ways = vec![vec![0.0f64; most + 1]; a + 1];
    ways[0][0] = 1.0;
    for (taken, rank) in doubled.iter().enumerate() {
        for picked in (1..=a.min(taken + 1)).rev() {
            let (fewer, more) = ways.split_at_mut(picked);
            let (fewer, more) = (&fewer[picked - 1], &mut more[0]);
            for sum in *rank..=most {
                more[sum] += fewer[sum - rank];
            }
        }
    }
    let all: f64 = ways[a].iter().sum();
    let low: f64 = ways[a][..=seen].iter().sum();
    let high: f64 = ways[a][seen..].iter().sum();
    (2.0 * low.min(high) / all).min(1.0)
}

/// With corrections for ties and continuity.
fn normal(a: f64, b: f64, rank_sum: f64, ties: f64) -> f64 {
    let u = rank_sum - a * (a + 1.0) / 2.0;
    let n = a + b;
    let variance = a * b / 12.0 * ((n + 1.0) - ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let off = ((u - a * b / 2.0).abs() - 0.5).max(0.0);
    erfc(off / variance.sqrt() / std::f64::consts::SQRT_2).min(1.0)
}

/// Complementary error function of x ≥ 0; Abramowitz and Stegun 7.1.26 would be off by 1.5e-7, so a continued fraction
/// (7.1.14) for the tail and the series (7.1.5) below 2.5.
fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        let mut term = x;
        let mut sum = x;
        for n in 1..80 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let mut fraction = x;
    for k in (1..60).rev() {
        fraction = x + f64::from(k) / 2.0 / fraction;
    }
    (-x * x).exp() / fraction / std::f64::consts::PI.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every split, one by one.
    fn by_hand(a: &[f64], b: &[f64]) -> f64 {
        let pooled: Vec<f64> = a.iter().chain(b).copied().collect();
        let rank = |v: f64| {
            let below = pooled.iter().filter(|o| **o < v).count() as f64;
            let same = pooled.iter().filter(|o| **o == v).count() as f64;
            below + (same + 1.0) / 2.0
        };
        let seen: f64 = a.iter().map(|v| rank(*v)).sum();
        let (mut low, mut high, mut all) = (0u32, 0u32, 0u32);
        for split in 0u32..1 << pooled.len() {
            if split.count_ones() as usize != a.len() {
                continue;
            }
            let sum: f64 = (0..pooled.len()).filter(|i| split >> i & 1 == 1).map(|i| rank(pooled[i])).sum();
            all += 1;
            low += u32::from(sum <= seen);
            high += u32::from(sum >= seen);
        }
        (2.0 * f64::from(low.min(high)) / f64::from(all)).min(1.0)
    }

    proptest! {
        #[test]
        fn counting_by_sums_is_counting_every_split(
            a in proptest::collection::vec(0u8..12, 1..7),
            b in proptest::collection::vec(0u8..12, 1..7),
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().map(f64::from).collect(), b.into_iter().map(f64::from).collect());
            prop_assert!((rank_sum_p(&a, &b) - by_hand(&a, &b)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_smallest_chance_is_that_of_samples_that_do_not_overlap() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0, 9.0]);
        assert!((rank_sum_p(&a, &b) - smallest_p(4, 5)).abs() < 1e-12);
        assert!((smallest_p(8, 8) - 2.0 / 12870.0).abs() < 1e-12);
        assert_eq!(smallest_p(0, 5), 1.0);
        assert_eq!(rank_sum_p(&[1.0; 5], &[1.0; 5]), 1.0);
    }
}

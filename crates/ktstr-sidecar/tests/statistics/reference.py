"""What scipy makes of fixed samples: `cargo xtask statistics` runs this and keeps the answers in scipy.json."""

import json
import sys

import numpy as np
from scipy import stats

rng = np.random.default_rng(20260101)


def rank(x, axis=-1):
    return stats.rankdata(x, axis=axis)


def rank_sum(a, b):
    """Exact over every split where that can be enumerated or has a known distribution, else the normal approximation."""
    pooled = np.concatenate([a, b])
    tied = len(np.unique(pooled)) < len(pooled)
    if len(pooled) > 60:
        return stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=True).pvalue
    if not tied:
        return stats.mannwhitneyu(a, b, method="exact").pvalue
    ranks = stats.rankdata(pooled)
    return stats.permutation_test(
        (ranks[: len(a)], ranks[len(a) :]),
        lambda x, y, axis=-1: np.sum(x, axis=axis),
        vectorized=True,
        n_resamples=np.inf,
        alternative="two-sided",
    ).pvalue


def difference(a, b, axis=-1):
    return np.median(b, axis=axis) - np.median(a, axis=axis)


def case(name, a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    interval = stats.bootstrap(
        (a, b), difference, n_resamples=100_000, batch=10_000, method="percentile", vectorized=True, random_state=rng
    ).confidence_interval
    return {
        "name": name,
        "a": a.tolist(),
        "b": b.tolist(),
        "p": float(rank_sum(a, b)),
        "interval": [float(interval.low), float(interval.high)],
    }


cases = []
for n, m in [(3, 3), (5, 5), (5, 8), (8, 8), (10, 12), (20, 20), (30, 30), (40, 40), (100, 70)]:
    for shift in (0.0, 0.5):
        a = np.round(rng.lognormal(5, 0.4, n), 3)
        b = np.round(rng.lognormal(5 + shift, 0.4, m), 3)
        cases.append(case(f"lognormal {n} {m} {shift}", a, b))
for n, m in [(5, 5), (7, 8), (10, 10), (50, 60)]:
    a, b = rng.integers(0, 6, n), rng.integers(1, 7, m)
    cases.append(case(f"ties {n} {m}", a, b))
cases.append(case("far apart", np.arange(8), np.arange(100, 108)))
json.dump(cases, sys.stdout, indent=1)
print()

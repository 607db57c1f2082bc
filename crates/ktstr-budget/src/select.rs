//! The greedy selection, with gains re-evaluated only when they might matter.
//!
//! A candidate's gain only ever shrinks while others are taken, and so does the budget: a heap entry that is stale can be put
//! back with its present value, and the one that is on top unchanged is the greedy choice. Ties go to the smaller name, then to
//! the smaller index.

use crate::seconds::Secs;
use crate::word_hash::BuildWordHasher;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// Bits per second of a candidate that costs nothing: its new bits times this.
const FREE_RATE: f64 = 1e6;
/// Up to this many seconds, with room for rounding, a price can beat no price at all: `n / price >= n * FREE_RATE`.
const NEGLIGIBLE_S: f64 = 2.0 / FREE_RATE;
/// Once one in so many entries was found stale, refreshing all of them at once is cheaper than one by one.
const STALE_SHARE: usize = 32;
/// Prices this close, relative to each other, may divide to the same rate.
const SAME_RATE: f64 = 4.0 * f64::EPSILON;

/// One test with its 64 feature bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its name; breaks ties.
    pub name: String,
    /// Its feature bits.
    pub mask: u64,
    /// Its estimated duration.
    pub secs: Secs,
}

/// One test with a bitset of any width; missing words are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct WideCandidate {
    /// Its name; breaks ties.
    pub name: String,
    /// Its features, 64 to a word.
    pub bits: Vec<u64>,
    /// Its estimated duration.
    pub secs: Secs,
}

trait Item {
    fn name(&self) -> &str;
    fn words(&self) -> &[u64];
    fn secs(&self) -> Secs;
}

impl Item for Candidate {
    fn name(&self) -> &str {
        &self.name
    }
    fn words(&self) -> &[u64] {
        std::slice::from_ref(&self.mask)
    }
    fn secs(&self) -> Secs {
        self.secs
    }
}

impl Item for WideCandidate {
    fn name(&self) -> &str {
        &self.name
    }
    fn words(&self) -> &[u64] {
        let used = self.bits.iter().rposition(|&w| w != 0).map_or(0, |i| i + 1);
        &self.bits[..used]
    }
    fn secs(&self) -> Secs {
        self.secs
    }
}

fn gain(words: &[u64], covered: &[u64]) -> u32 {
    words.iter().enumerate().map(|(i, w)| (w & !covered.get(i).copied().unwrap_or(0)).count_ones()).sum()
}

fn rate(new_bits: u32, secs: Secs) -> f64 {
    if secs == Secs::ZERO { f64::from(new_bits) * FREE_RATE } else { f64::from(new_bits) / secs.get() }
}

struct Entry<'a> {
    rate: f64,
    name: &'a str,
    index: usize,
}

impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry<'_> {}
impl PartialOrd for Entry<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rate
            .total_cmp(&other.rate)
            .then_with(|| other.name.cmp(self.name))
            .then_with(|| other.index.cmp(&self.index))
    }
}

/// Whether the dearer of two candidates with equal bits can still come first.
fn can_rival(dearer: Secs, cheaper: Secs) -> bool {
    dearer != cheaper && (dearer.get() <= NEGLIGIBLE_S || dearer.get() <= cheaper.get() * (1.0 + SAME_RATE))
}

/// Candidates that could ever be chosen. Of equal bits that is the cheapest, then the smaller name; beside it stay the few
/// that [`can_rival`] it, so that the answer is the greedy one to the last bit of a float.
fn representatives<T: Item>(all: &[T], budget: Secs) -> Vec<usize> {
    let mut best: HashMap<&[u64], usize, BuildWordHasher> = HashMap::default();
    let mut kept = Vec::new();
    for (index, item) in all.iter().enumerate() {
        if item.secs() > budget || item.words().iter().all(|&w| w == 0) {
            continue;
        }
        best.entry(item.words())
            .and_modify(|held| {
                let key = |i: usize| (all[i].secs(), all[i].name(), i);
                let (winner, loser) = if key(index) < key(*held) { (index, *held) } else { (*held, index) };
                if can_rival(all[loser].secs(), all[winner].secs()) {
                    kept.push(loser);
                }
                *held = winner;
            })
            .or_insert(index);
    }
    kept.extend(best.into_values());
    kept
}

/// The heap's entries with present rates, without those that can never be chosen again.
fn refreshed<'a, T: Item>(entries: Vec<Entry<'a>>, all: &[T], covered: &[u64], left: f64) -> BinaryHeap<Entry<'a>> {
    let present = |entry: Entry<'a>| {
        let item = &all[entry.index];
        let new_bits = gain(item.words(), covered);
        (new_bits > 0 && item.secs().get() <= left).then(|| Entry { rate: rate(new_bits, item.secs()), ..entry })
    };
    entries.into_iter().filter_map(present).collect()
}

fn select_items<T: Item>(all: &[T], budget: Secs) -> Vec<usize> {
    let width = all.iter().map(|c| c.words().len()).max().unwrap_or(0);
    let mut covered = vec![0u64; width];
    let mut left = budget.get();
    let entry = |index: usize| Entry { rate: 0.0, name: all[index].name(), index };
    let mut heap = refreshed(representatives(all, budget).into_iter().map(entry).collect(), all, &covered, left);
    let mut stale = 0;
    let mut chosen = Vec::new();
    while let Some(top) = heap.pop() {
        let item = &all[top.index];
        let new_bits = gain(item.words(), &covered);
        let now = rate(new_bits, item.secs());
        if new_bits > 0 && item.secs().get() <= left && now == top.rate {
            for (word, bits) in covered.iter_mut().zip(item.words()) {
                *word |= bits;
            }
            left -= item.secs().get();
            chosen.push(top.index);
            continue;
        }
        if new_bits > 0 && item.secs().get() <= left {
            heap.push(Entry { rate: now, ..top });
        }
        stale += 1;
        if stale * STALE_SHARE > heap.len() {
            heap = refreshed(heap.into_vec(), all, &covered, left);
            stale = 0;
        }
    }
    chosen.sort_unstable();
    chosen
}

/// Again and again the affordable candidate with the most new bits per second; sorted indices into `all`.
///
/// No new bits or too dear means never; ties go to the smaller name. Takes about n log n for n distinct masks.
#[must_use]
pub fn select(all: &[Candidate], budget: Secs) -> Vec<usize> {
    select_items(all, budget)
}

/// [`select`] over features of any width, such as the pairs of values that a test covers:
///
/// ```
/// use ktstr_budget::{Secs, WideCandidate, select_with};
///
/// // 3 topologies × 30 kernels: bit 30·t + k stands for topology t on kernel k.
/// let pair = |t: usize, k: usize| {
///     let mut bits = vec![0u64; 2];
///     bits[(30 * t + k) / 64] |= 1 << ((30 * t + k) % 64);
///     WideCandidate { name: format!("t{t}/k{k}"), bits, secs: Secs::new(10.0).unwrap() }
/// };
/// let all = [pair(0, 0), pair(2, 29), pair(2, 29), pair(1, 7)];
/// assert_eq!(select_with(&all, Secs::new(60.0).unwrap()), [0, 1, 3]);
/// ```
#[must_use]
pub fn select_with(all: &[WideCandidate], budget: Secs) -> Vec<usize> {
    select_items(all, budget)
}

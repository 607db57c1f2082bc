//! The greedy selection, with gains re-evaluated only when they might matter.
//!
//! A candidate's gain only ever shrinks while others are taken, and so does the budget: a heap entry that is stale can be put
//! back with its present value, and the one that is on top unchanged is the greedy choice. Ties go to the smaller name, then to
//! the smaller index.

use crate::seconds::Secs;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::HashMap;

/// Bits per second of a candidate that costs nothing: its new bits times this.
const FREE_RATE: f64 = 1e6;

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

/// Candidates that could ever be chosen: of equal masks only the cheapest (then the smaller name) can.
fn representatives<T: Item>(all: &[T], budget: Secs) -> Vec<usize> {
    let mut best: HashMap<&[u64], usize> = HashMap::new();
    for (index, item) in all.iter().enumerate() {
        if item.secs() > budget || item.words().iter().all(|&w| w == 0) {
            continue;
        }
        best.entry(item.words())
            .and_modify(|held| {
                let key = |i: usize| (all[i].secs(), all[i].name(), i);
                if key(index) < key(*held) {
                    *held = index;
                }
            })
            .or_insert(index);
    }
    best.into_values().collect()
}

fn select_items<T: Item>(all: &[T], budget: Secs) -> Vec<usize> {
    let width = all.iter().map(|c| c.words().len()).max().unwrap_or(0);
    let mut covered = vec![0u64; width];
    let mut left = budget.get();
    let mut heap: BinaryHeap<Entry<'_>> = representatives(all, budget)
        .into_iter()
        .map(|index| {
            let item = &all[index];
            Entry { rate: rate(gain(item.words(), &covered), item.secs()), name: item.name(), index }
        })
        .collect();
    let mut chosen = Vec::new();
    while let Some(top) = heap.pop() {
        let item = &all[top.index];
        let new_bits = gain(item.words(), &covered);
        if new_bits == 0 || item.secs().get() > left {
            continue;
        }
        let now = rate(new_bits, item.secs());
        if now < top.rate {
            heap.push(Entry { rate: now, ..top });
            continue;
        }
        for (word, bits) in covered.iter_mut().zip(item.words()) {
            *word |= bits;
        }
        left -= item.secs().get();
        chosen.push(top.index);
    }
    chosen.sort_unstable();
    chosen
}

/// Again and again the affordable candidate with the most new bits per second; sorted indices into `all`.
#[must_use]
pub fn select(all: &[Candidate], budget: Secs) -> Vec<usize> {
    select_items(all, budget)
}

/// [`select`] over features of any width.
#[must_use]
pub fn select_with(all: &[WideCandidate], budget: Secs) -> Vec<usize> {
    select_items(all, budget)
}

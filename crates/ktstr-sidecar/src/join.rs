//! Records of many machines as one set: each run once, however often its shard ran, in whatever order they come.

use crate::record::SidecarRecord;
use crate::scan::Fold;
use ktstr_verdict::Verdict;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a run is, wherever it ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// The runner's name for the binary.
    pub binary: String,
    /// Bare name of the test.
    pub test: String,
    /// Preset, when the run was a variant.
    pub preset: Option<String>,
    /// Label of the kernel.
    pub kernel: Option<String>,
}

impl RunKey {
    /// The run that a record is of.
    #[must_use]
    pub fn of(record: &SidecarRecord) -> Self {
        Self {
            binary: record.binary.clone().unwrap_or_default(),
            test: record.test_name.clone(),
            preset: record.preset.clone(),
            kernel: record.kernel_label.clone(),
        }
    }
}

/// The record that stands for each run: of several the one with the worst verdict, for one good run does not undo a bad one;
/// among equals the later.
///
/// Taking is a maximum over a total order, so the outcome depends neither on order nor on how often a record is taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined(BTreeMap<RunKey, (PathBuf, SidecarRecord)>);

impl Joined {
    /// The runs and their records.
    pub fn runs(&self) -> impl Iterator<Item = (&RunKey, &SidecarRecord)> {
        self.0.iter().map(|(key, (_, record))| (key, record))
    }

    /// The same with the files that the records are from, beside which lies what they name.
    pub fn files(&self) -> impl Iterator<Item = (&RunKey, &Path, &SidecarRecord)> {
        self.0.iter().map(|(key, (path, record))| (key, path.as_path(), record))
    }

    fn add(&mut self, path: PathBuf, record: SidecarRecord) {
        match self.0.entry(RunKey::of(&record)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert((path, record));
            }
            std::collections::btree_map::Entry::Occupied(mut place) => {
                if rank(&record) > rank(&place.get().1) {
                    place.insert((path, record));
                }
            }
        }
    }
}

impl Fold for Joined {
    fn take(&mut self, path: &Path, record: SidecarRecord) {
        self.add(path.to_owned(), record);
    }

    fn merge(&mut self, other: Self) {
        other.0.into_values().for_each(|(path, record)| self.add(path, record));
    }
}

/// The text makes the order total: two records that are equal in it are the same.
fn rank(record: &SidecarRecord) -> (u8, u64, String) {
    let badness = match record.verdict() {
        Verdict::Pass => 0,
        Verdict::Skip => 1,
        Verdict::Inconclusive => 2,
        Verdict::Fail => 3,
    };
    (badness, record.started_unix_s, serde_json::to_string(record).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = SidecarRecord> {
        (0u8..2, 0u8..2, 0u8..2, 0u8..2, 0usize..4, 0u64..3, 0u64..3).prop_map(
            |(binary, test, preset, kernel, verdict, started, wall)| {
                let verdict = [Verdict::Pass, Verdict::Skip, Verdict::Inconclusive, Verdict::Fail][verdict];
                SidecarRecord {
                    binary: Some(format!("b{binary}")),
                    preset: (preset > 0).then(|| "tiny".to_owned()),
                    kernel_label: Some(format!("k{kernel}")),
                    started_unix_s: started,
                    wall_ms: wall,
                    ..SidecarRecord::new(&format!("t{test}"), "1n1l2c1t", "eevdf", verdict)
                }
            },
        )
    }

    fn join<'a>(records: impl IntoIterator<Item = &'a SidecarRecord>) -> Joined {
        let mut joined = Joined::default();
        records.into_iter().for_each(|r| joined.take(Path::new("x"), r.clone()));
        joined
    }

    fn both(mut a: Joined, b: Joined) -> Joined {
        a.merge(b);
        a
    }

    proptest! {
        #[test]
        fn order_and_repetition_change_nothing(records in prop::collection::vec(record(), 0..30), cut in 0usize..30) {
            let whole = join(&records);
            prop_assert_eq!(&join(records.iter().rev()), &whole);
            prop_assert_eq!(&join(records.iter().chain(&records)), &whole, "each twice");
            let (left, right) = records.split_at(cut.min(records.len()));
            prop_assert_eq!(&both(join(left), join(right)), &whole);
            prop_assert_eq!(&both(join(right), join(left)), &whole);
            prop_assert_eq!(&both(whole.clone(), join(left)), &whole, "a shard that ran twice");
        }

        #[test]
        fn each_run_is_there_once_and_a_bad_one_is_never_undone(records in prop::collection::vec(record(), 0..30)) {
            let joined = join(&records);
            let keys: std::collections::BTreeSet<RunKey> = records.iter().map(RunKey::of).collect();
            prop_assert_eq!(joined.runs().map(|(k, _)| k.clone()).collect::<std::collections::BTreeSet<_>>(), keys);
            for record in records.iter().filter(|r| r.verdict() == Verdict::Fail) {
                let kept = joined.runs().find(|(key, _)| **key == RunKey::of(record)).map(|(_, r)| r.verdict());
                prop_assert_eq!(kept, Some(Verdict::Fail));
            }
        }
    }
}

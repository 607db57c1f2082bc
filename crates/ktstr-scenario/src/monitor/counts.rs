//! The scheduler's event counters in a test body.

use super::sources::read_events;
use anyhow::{Result, anyhow};
use std::collections::BTreeMap;

/// What `root/events` counted since the test began, or since the scheduler was attached when that was later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventCounts(BTreeMap<String, i64>);

impl EventCounts {
    /// How often this happened, by the kernel's name (`SCX_EV_SELECT_CPU_FALLBACK`); durations are in ns.
    ///
    /// # Errors
    /// This kernel counts no such event.
    pub fn count(&self, name: &str) -> Result<i64> {
        self.0.get(name).copied().ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            anyhow!("this kernel counts no `{name}`; it counts {}", known.join(", "))
        })
    }

    /// Every counter by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

/// The counters at one instant, to count from.
#[derive(Clone, Debug)]
pub(crate) struct EventBase(Option<(u64, BTreeMap<String, i64>)>);

impl EventBase {
    /// Now; nothing where no scheduler is attached.
    pub fn now() -> Self {
        Self(read_events().ok())
    }

    /// What has been counted since.
    pub fn since(&self) -> Result<EventCounts> {
        let (seq, now) = read_events().map_err(|why| {
            anyhow!("no events: {why}; is a sched_ext scheduler attached, and the kernel 6.15 or later?")
        })?;
        Ok(EventCounts(delta(self.0.as_ref(), seq, now)))
    }
}

/// Counters begin at zero with each attachment.
fn delta(
    base: Option<&(u64, BTreeMap<String, i64>)>,
    seq: u64,
    mut now: BTreeMap<String, i64>,
) -> BTreeMap<String, i64> {
    if let Some((_, before)) = base.filter(|(base_seq, _)| *base_seq == seq) {
        for (name, count) in &mut now {
            *count = count.saturating_sub(before.get(name).copied().unwrap_or(0));
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(values: &[(&str, i64)]) -> BTreeMap<String, i64> {
        values.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn counts_are_since_the_test_began_and_anew_with_each_attachment() {
        let base = (3, counters(&[("A", 10)]));
        let now = || counters(&[("A", 12), ("B", 5)]);
        assert_eq!(delta(Some(&base), 3, now()), counters(&[("A", 2), ("B", 5)]));
        assert_eq!(delta(Some(&base), 4, now()), now());
        assert_eq!(delta(None, 4, now()), now());
    }

    #[test]
    fn an_event_that_is_not_counted_is_an_error_that_lists_those_that_are() {
        let counts = EventCounts(counters(&[("A", 1), ("B", 2)]));
        assert_eq!(counts.count("B").unwrap(), 2);
        assert!(counts.count("C").unwrap_err().to_string().contains("counts no `C`; it counts A, B"));
    }
}

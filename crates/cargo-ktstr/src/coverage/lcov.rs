//! lcov's text format (geninfo(1), "Tracefile format"): which lines there are, and which ran.

use std::collections::BTreeMap;

/// Lines of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// That could run.
    pub lines: usize,
    /// That ran.
    pub ran: usize,
    /// That ran here and not in the other report.
    pub only_here: usize,
}

/// Counts `report`, and what ran in it that did not in `other`.
pub fn compare(report: &str, other: &str) -> Counted {
    let (here, there) = (lines(report), lines(other));
    let ran = |line: &(&str, u32)| there.get(line).is_some_and(|count| *count > 0);
    let mut counted = Counted { lines: here.len(), ..Counted::default() };
    for (line, _) in here.iter().filter(|(_, count)| **count > 0) {
        counted.ran += 1;
        counted.only_here += usize::from(!ran(line));
    }
    counted
}

/// Executions of each line of each file.
fn lines(report: &str) -> BTreeMap<(&str, u32), u64> {
    let mut file = "";
    let mut lines = BTreeMap::new();
    for text in report.lines() {
        if let Some(name) = text.strip_prefix("SF:") {
            file = name;
        } else if let Some((number, count)) = text.strip_prefix("DA:").and_then(|rest| rest.split_once(',')) {
            let count = count.split(',').next().unwrap_or_default();
            if let (Ok(number), Ok(count)) = (number.parse(), count.parse::<u64>()) {
                let held = lines.entry((file, number)).or_insert(0u64);
                *held = held.saturating_add(count);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_ran_in_the_guest_alone_is_told() {
        let all = "SF:/a.rs\nDA:1,2\nDA:2,1\nDA:3,0\nend_of_record\nSF:/b.rs\nDA:1,7,hash\nend_of_record\n";
        let host = "SF:/a.rs\nDA:1,2\nDA:2,0\nDA:3,0\nend_of_record\n";
        assert_eq!(compare(all, host), Counted { lines: 4, ran: 3, only_here: 2 });
        assert_eq!(compare(all, all).only_here, 0);
        assert_eq!(compare("", all), Counted::default());
    }
}

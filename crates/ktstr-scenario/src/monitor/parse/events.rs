//! /sys/kernel/sched_ext/root/events (kernel/sched/ext.c, scx_attr_events_show): `NAME VALUE` lines.

use std::collections::BTreeMap;

/// All counters.
pub fn events(text: &str) -> Result<BTreeMap<String, i64>, String> {
    let mut counters = BTreeMap::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let mut fields = line.split_ascii_whitespace();
        let (Some(name), Some(Ok(value)), None) = (fields.next(), fields.next().map(str::parse), fields.next()) else {
            return Err(format!("`{line}` is not a name and a number"));
        };
        if counters.insert(name.to_owned(), value).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
    }
    if counters.is_empty() { Err("no counters".to_owned()) } else { Ok(counters) }
}

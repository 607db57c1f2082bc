//! A session: everything that one call of `cargo ktstr test` ran, as its records tell it.

use anyhow::Result;
use ktstr_sidecar::{All, SidecarRecord, scan};
use ktstr_verdict::Verdict;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A name that no other session has; one that was given from outside stands.
pub fn token() -> String {
    std::env::var("KTSTR_RUN_EPOCH").ok().filter(|t| !t.is_empty()).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}.{:09}-{}", now.as_secs(), now.subsec_nanos(), std::process::id())
    })
}

/// Records and the names of damaged ones.
#[derive(Debug, Default)]
pub struct Records {
    /// Those that could be read.
    pub whole: Vec<SidecarRecord>,
    /// Files that could not, each with the reason.
    pub damaged: Vec<String>,
}

/// All records below a directory.
///
/// # Errors
/// A directory that is there and cannot be listed.
pub fn read_all(root: &Path) -> Result<Records> {
    let scanned = scan::<All>(root)?;
    let damaged = scanned.damaged.iter().map(ToString::to_string).collect();
    Ok(Records { whole: scanned.folded.sorted().into_iter().map(|(_, record)| record).collect(), damaged })
}

/// Those of one session.
pub fn of_session(records: Vec<SidecarRecord>, token: &str) -> Vec<SidecarRecord> {
    records.into_iter().filter(|r| r.run_id.as_deref() == Some(token)).collect()
}

/// The session that began a test last.
pub fn last(records: Vec<SidecarRecord>) -> Vec<SidecarRecord> {
    match records.iter().max_by_key(|r| r.started_unix_s).map(|r| r.run_id.clone()) {
        Some(newest) => records.into_iter().filter(|r| r.run_id == newest).collect(),
        None => Vec::new(),
    }
}

/// What to call a run: the test, its preset or shape, and the kernel.
pub fn title(record: &SidecarRecord) -> String {
    let shape = record.preset.as_deref().unwrap_or(&record.topology);
    match &record.kernel_label {
        Some(kernel) => format!("{} on {shape}, kernel {kernel}", record.test_name),
        None => format!("{} on {shape}", record.test_name),
    }
}

/// How many names a list shows.
const SHOWN: usize = 8;

/// The end of a session in a person's words: what was skipped and why comes loudest, for it looks like nothing.
pub fn summary(records: &[SidecarRecord], damaged: &[String]) -> String {
    let of = |verdict: Verdict| records.iter().filter(move |r| r.verdict() == verdict);
    let [passed, failed, skipped, inconclusive] =
        [Verdict::Pass, Verdict::Fail, Verdict::Skip, Verdict::Inconclusive].map(|v| of(v).count());
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "ktstr: {text}");
    };
    if records.is_empty() {
        line("NOTHING RAN: no test of the harness left a record in this session".to_owned());
    } else {
        line(format!("{passed} passed, {failed} failed, {skipped} skipped, {inconclusive} inconclusive"));
    }
    for record in of(Verdict::Fail).take(SHOWN) {
        line(format!("FAILED: {}: {}", title(record), first_line(&record.message)));
    }
    if failed > SHOWN {
        line(format!("FAILED: {} more", failed - SHOWN));
    }
    for record in of(Verdict::Inconclusive).take(SHOWN) {
        line(format!("INCONCLUSIVE: {}: {}", title(record), first_line(&record.message)));
    }
    if inconclusive > SHOWN {
        line(format!("INCONCLUSIVE: {} more", inconclusive - SHOWN));
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in of(Verdict::Skip) {
        reasons.entry(first_line(&record.message)).or_default().push(&record.test_name);
    }
    for (reason, mut names) in reasons {
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        let more = if names.len() > SHOWN { ", …" } else { "" };
        names.truncate(SHOWN);
        line(format!("SKIPPED {count}: {reason} ({}{more})", names.join(", ")));
    }
    if skipped > 0 && skipped == records.len() {
        line(
            "NOTHING RAN: every test was skipped, so this session proves nothing; --no-skip-mode makes it fail"
                .to_owned(),
        );
    }
    if failed + inconclusive > 0 {
        line("`cargo ktstr replay` runs again what failed or was inconclusive".to_owned());
    }
    if !damaged.is_empty() {
        line(format!("WARNING: {} records are damaged, {} first", damaged.len(), damaged[0]));
    }
    out
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("no reason was given")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(test: &str, verdict: Verdict, message: &str, started: u64, run: &str) -> SidecarRecord {
        let mut record = SidecarRecord::new(test, "1n1l2c1t", "eevdf", verdict);
        record.message = message.to_owned();
        record.started_unix_s = started;
        record.run_id = Some(run.to_owned());
        record
    }

    #[test]
    fn a_session_that_skipped_everything_says_that_it_proves_nothing() {
        let all = [record("a", Verdict::Skip, "no kernel", 1, "r"), record("b", Verdict::Skip, "no kernel", 1, "r")];
        let text = summary(&all, &[]);
        assert!(text.contains("SKIPPED 2: no kernel (a, b)") && text.contains("NOTHING RAN"), "{text}");
        assert!(summary(&[], &[]).contains("NOTHING RAN"));
        let one_ran = [all[0].clone(), record("c", Verdict::Pass, "", 1, "r")];
        assert!(!summary(&one_ran, &[]).contains("NOTHING RAN"));
    }

    #[test]
    fn inconclusive_and_failed_runs_are_told_with_their_reasons() {
        let all =
            [record("a", Verdict::Inconclusive, "host busy\nx", 1, "r"), record("b", Verdict::Fail, "stuck", 1, "r")];
        let text = summary(&all, &["x.ktstr.json".to_owned()]);
        assert!(text.contains("INCONCLUSIVE: a on 1n1l2c1t: host busy\n"), "{text}");
        assert!(text.contains("FAILED: b on 1n1l2c1t: stuck") && text.contains("1 records are damaged"), "{text}");
    }

    #[test]
    fn the_last_session_is_the_one_that_began_a_test_last() {
        let all = vec![
            record("a", Verdict::Pass, "", 5, "old"),
            record("b", Verdict::Fail, "", 7, "new"),
            record("c", Verdict::Pass, "", 6, "new"),
        ];
        let names: Vec<String> = last(all).into_iter().map(|r| r.test_name).collect();
        assert_eq!(names, ["b", "c"]);
        assert!(last(Vec::new()).is_empty());
    }
}

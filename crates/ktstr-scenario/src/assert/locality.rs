//! Workers stay where their caches and pages are.

use super::findings::{Check, Findings, float, ratio};
use super::group::Group;
use super::limits::Assert;
use crate::worker::Seen;
use ktstr_verdict::CheckKind;

const MIGRATIONS: Check = Check { name: "max_migration_ratio", kind: CheckKind::Locality };
const CROSS_NODE: Check = Check { name: "max_cross_node_migration_ratio", kind: CheckKind::Locality };
const PAGES: Check = Check { name: "min_page_locality", kind: CheckKind::Locality };

pub(super) fn check(group: &Group<'_>, assert: &Assert, findings: &mut Findings) {
    if let Some(limit) = findings.limit(MIGRATIONS, assert.max_migration_ratio) {
        let share = Share { over: |w| w.migrations, under: |w| w.iterations, what: "migrations an iteration" };
        share.judge(group, findings, MIGRATIONS, Bound::AtMost(limit), "no iterations");
    }
    if let Some(limit) = findings.limit(CROSS_NODE, assert.max_cross_node_migration_ratio) {
        let share = Share {
            over: |w| w.cross_node_migrations,
            under: |w| w.migrations,
            what: "of the migrations went to another node",
        };
        share.judge(group, findings, CROSS_NODE, Bound::AtMost(limit), "no migrations");
    }
    if let Some(limit) = findings.limit(PAGES, assert.min_page_locality) {
        PAGE_SHARE.judge(group, findings, PAGES, Bound::AtLeast(limit), "no pages known");
    }
}

/// Pages on the worker's own node, of all its pages.
const PAGE_SHARE: Share =
    Share { over: |w| w.pages_local, under: |w| w.pages_total, what: "of the pages are on the worker's own node" };

/// Share of pages on the workers' own nodes.
pub(super) fn page_locality(seen: &[Seen]) -> Option<f64> {
    PAGE_SHARE.of(seen)
}

/// Something counted for each of something else.
struct Share {
    over: fn(&Seen) -> u64,
    under: fn(&Seen) -> u64,
    what: &'static str,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn broken_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value > limit,
            Self::AtLeast(limit) => value < limit,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {limit}"),
            Self::AtLeast(limit) => write!(f, "at least {limit}"),
        }
    }
}

impl Share {
    fn of(&self, seen: &[Seen]) -> Option<f64> {
        let sum = |of: fn(&Seen) -> u64| seen.iter().map(|w| float(of(w))).sum::<f64>();
        ratio(sum(self.over), sum(self.under))
    }

    fn judge(&self, group: &Group<'_>, findings: &mut Findings, check: Check, bound: Bound, nothing: &str) {
        let Some(value) = self.of(group.seen) else {
            return findings.unknown(check, &format!("{nothing}: no ratio"));
        };
        let said = format!("{value:.4} {}, {bound}", self.what);
        let offenders =
            if bound.broken_by(value) { vec![format!("{said}: {}", self.worst(group, bound))] } else { Vec::new() };
        findings.judge(check, &offenders, &said);
    }

    /// The worker that is furthest on the wrong side.
    fn worst(&self, group: &Group<'_>, bound: Bound) -> String {
        let own = |i: usize| self.of(&group.seen[i..=i]);
        let mut known: Vec<(usize, f64)> = (0..group.seen.len()).filter_map(|i| Some((i, own(i)?))).collect();
        known.sort_by(|a, b| a.1.total_cmp(&b.1));
        let worst = match bound {
            Bound::AtMost(_) => known.last(),
            Bound::AtLeast(_) => known.first(),
        };
        worst.map_or_else(String::new, |(i, value)| {
            let (over, under) = ((self.over)(&group.seen[*i]), (self.under)(&group.seen[*i]));
            format!("{} had {over} of {under}, {value:.4}, within {:.3} s", group.worker(*i), group.secs)
        })
    }
}

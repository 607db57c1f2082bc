//! One budget for one run: a binary that lists by itself would spend the whole of it again.

use crate::names::{TestId, filter};
use crate::offer::Offer;
use anyhow::Result;
use ktstr_budget::{Candidate, Secs, select, stats};
use std::collections::BTreeSet;

/// What is run, and what a person is told of it.
#[derive(Debug, PartialEq)]
pub struct Chosen {
    /// nextest's filter: libtest's own tests, and of the harness' those that were chosen.
    pub filter: String,
    /// How much of the time and of the ground it takes.
    pub said: String,
}

/// The tests that cover most in so many seconds, over all binaries.
///
/// # Errors
/// An estimate that is no number of seconds.
pub fn choose(offer: &Offer, budget: Secs) -> Result<Chosen> {
    let candidate = |(test, cost): (&TestId, &crate::offer::Cost)| {
        Ok(Candidate { name: test.name.clone(), mask: cost.features, secs: Secs::new(cost.seconds)? })
    };
    let candidates: Vec<Candidate> = offer.weighed.iter().map(candidate).collect::<Result<_>>()?;
    let ids: Vec<&TestId> = offer.weighed.keys().collect();
    let indices = select(&candidates, budget);
    let chosen: BTreeSet<TestId> = indices.iter().map(|&i| ids[i].clone()).collect();
    let s = stats(&candidates, &indices, budget);
    let mut said = format!(
        "budget: {}/{} tests, {:.0}/{} s, {}/{} configurations covered",
        s.selected, s.total, s.secs_used, s.secs_budget, s.bits_covered, s.bits_possible
    );
    let cheapest = candidates.iter().map(|c| c.secs).min();
    if let Some(cheapest) = cheapest.filter(|_| chosen.is_empty()) {
        said = format!("{said}; the shortest is estimated at {:.0} s: raise the budget", cheapest.get().ceil());
    }
    let plain = "not test(/^(ktstr|gauntlet|verifier)\\//)".to_owned();
    let filter = if chosen.is_empty() { plain } else { format!("{plain} + {}", filter(&chosen)) };
    Ok(Chosen { filter, said })
}

/// nextest takes what any of its filters takes: each of a person's is narrowed, or there is only the new one.
pub fn narrowed(words: &[String], filter: &str) -> Vec<String> {
    let both = |own: &str| format!("({own}) & ({filter})");
    let mut out = Vec::with_capacity(words.len() + 2);
    let mut narrowed = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            // Behind it are names, which narrow by themselves; the filter goes before it.
            if !narrowed {
                out.extend(["-E".to_owned(), filter.to_owned()]);
                narrowed = true;
            }
            out.push(word.clone());
            out.extend(words.by_ref().cloned());
            break;
        }
        if ["-E", "--filterset", "--filter-expr"].contains(&word.as_str()) {
            out.push(word.clone());
            out.extend(words.next().map(|own| both(own)));
            narrowed = true;
        } else if let Some(own) = attached(word) {
            out.extend(["-E".to_owned(), both(own)]);
            narrowed = true;
        } else {
            out.push(word.clone());
        }
    }
    if !narrowed {
        out.extend(["-E".to_owned(), filter.to_owned()]);
    }
    out
}

/// The filter of `-Eall()`, `-E=all()` and `--filterset=all()`.
fn attached(word: &str) -> Option<&str> {
    if let Some(rest) = word.strip_prefix("-E") {
        return Some(rest.strip_prefix('=').unwrap_or(rest));
    }
    ["--filterset=", "--filter-expr="].into_iter().find_map(|name| word.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(tests: &[(&str, &str, f64, u64)]) -> Offer {
        let mut offer = Offer::default();
        for (binary, name, seconds, features) in tests {
            let cost = serde_json::json!({"name": name, "seconds": seconds, "features": features});
            let id = TestId { binary: (*binary).into(), name: (*name).into() };
            offer.weighed.insert(id, serde_json::from_value(cost).unwrap());
        }
        offer
    }

    #[test]
    fn two_binaries_share_one_budget() {
        let both = offer(&[("a", "ktstr/x", 12.0, 1), ("b", "ktstr/y", 12.0, 2), ("b", "ktstr/z", 12.0, 1)]);
        let all = choose(&both, Secs::new(30.0).unwrap()).unwrap();
        assert_eq!(all.said, "budget: 2/3 tests, 24/30 s, 2/2 configurations covered");
        assert!(all.filter.ends_with("(binary_id(=a) & (test(=ktstr/x))) + (binary_id(=b) & (test(=ktstr/y)))"));
        let half = choose(&both, Secs::new(15.0).unwrap()).unwrap();
        assert_eq!(half.said, "budget: 1/3 tests, 12/15 s, 1/2 configurations covered");
    }

    #[test]
    fn a_budget_that_nothing_fits_says_what_would() {
        let none = choose(&offer(&[("a", "ktstr/x", 11.5, 1)]), Secs::new(5.0).unwrap()).unwrap();
        assert!(none.said.ends_with("; the shortest is estimated at 12 s: raise the budget"), "{}", none.said);
        assert!(!none.filter.contains("ktstr/x"));
    }

    #[test]
    fn each_of_a_person_s_filters_is_narrowed_and_names_stay() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let joined = |line: &str| narrowed(&words(line), "F").join(" ");
        assert_eq!(joined("-p x"), "-p x -E F");
        assert_eq!(joined("-p x -- name"), "-p x -E F -- name");
        assert_eq!(joined("-E a+b --filterset=c -Ed"), "-E (a+b) & (F) -E (c) & (F) -E (d) & (F)");
        assert_eq!(joined("-E a -- name"), "-E (a) & (F) -- name");
    }
}

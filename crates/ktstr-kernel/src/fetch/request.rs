//! What was asked for, and which kernel answers it.

use super::candidate::Candidate;
use super::error::FetchError;
use crate::version::decompose_version_for_compare;
use std::path::PathBuf;

/// How many versions an error message offers.
const NEAR: usize = 6;

/// A request for one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The newest release with sched_ext.
    Newest,
    /// The newest release with sched_ext from a backports suite.
    Backports,
    /// A version, or a series of versions by its first parts: `6.18` also means `6.18.15`.
    Version(String),
    /// A version with its package revision: `7.2.12+deb14`.
    Revision(String),
    /// The newest version from the first to the second, both included. Missing parts are 0: `7.3` is 7.3.0.
    Range(String, String),
    /// A package file on this machine.
    File(PathBuf),
}

impl Request {
    /// Reads a request; nothing means [`Request::Newest`].
    ///
    /// # Errors
    /// [`FetchError::Request`] says which forms there are.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let text = text.trim();
        let error = |why: String| FetchError::Request { request: text.to_owned(), why };
        if text.ends_with(".rpm") {
            return Err(error("rpm packages are not supported yet; give a .deb".into()));
        }
        if text.ends_with(".deb") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        match text {
            "" | "newest" | "latest" | "debian" => return Ok(Self::Newest),
            "debian-backports" => return Ok(Self::Backports),
            _ => {}
        }
        if let Some((start, end)) = text.split_once("..") {
            let end = end.strip_prefix('=').unwrap_or(end);
            return match (decompose_version_for_compare(start), decompose_version_for_compare(end)) {
                (Some(a), Some(b)) if a <= b => Ok(Self::Range(start.to_owned(), end.to_owned())),
                (Some(_), Some(_)) => Err(error(format!("the range is inverted; write {end}..{start}"))),
                _ => Err(error("both ends of a range are versions, as in 6.18..7.3".into())),
            };
        }
        if decompose_version_for_compare(text).is_some() {
            return Ok(Self::Version(text.to_owned()));
        }
        if text.split_once('+').is_some_and(|(v, _)| decompose_version_for_compare(v).is_some()) {
            return Ok(Self::Revision(text.to_owned()));
        }
        Err(error(
            "give a version (6.18, 6.18.15, 7.2.12+deb14), a range (6.18..7.3), debian-backports, or a .deb file"
                .into(),
        ))
    }

    /// Whether a kernel of this version, release and suite answers the request. Release candidates only when named.
    fn accepts(&self, c: &Candidate) -> bool {
        match self {
            Self::Newest => !c.is_rc() && c.expects_sched_ext(),
            Self::Backports => !c.is_rc() && c.expects_sched_ext() && c.suite.ends_with("-backports"),
            Self::Revision(wanted) => c.revision() == wanted || c.release == *wanted,
            _ => self.accepts_version(&c.version),
        }
    }

    /// The same for a kernel of which only the version is known.
    pub(crate) fn accepts_version(&self, version: &str) -> bool {
        let is_rc = version.contains("-rc");
        match self {
            Self::Newest | Self::Backports => !is_rc,
            Self::Version(wanted) => {
                version == wanted
                    || (!is_rc && version.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('.')))
            }
            Self::Range(start, end) => {
                let rank = decompose_version_for_compare;
                let names_rc = start.contains("-rc") || end.contains("-rc");
                (!is_rc || names_rc) && rank(start) <= rank(version) && rank(version) <= rank(end)
            }
            Self::Revision(_) | Self::File(_) => false,
        }
    }
}

/// The newest of `candidates` (oldest first) that answers; of one version in several suites, the first suite's.
///
/// # Errors
/// [`FetchError::UnknownVersion`] or, when the archive lost a part of every match, [`FetchError::Incomplete`].
pub(super) fn choose<'a>(
    candidates: &'a [Candidate],
    request: &Request,
    text: &str,
) -> Result<&'a Candidate, FetchError> {
    let matching = || candidates.iter().filter(|c| request.accepts(c));
    // The last of the best version, then the first among equals: `candidates` keeps the suites' order within a version.
    let best = matching().rev().find(|c| c.is_complete());
    if let Some(best) = best {
        return Ok(matching().find(|c| c.version == best.version && c.is_complete()).unwrap_or(best));
    }
    let near = near(candidates, text);
    Err(match matching().next_back().map(|c| (c, &c.layout)) {
        Some((c, super::candidate::Layout::Incomplete { missing })) => {
            FetchError::Incomplete { version: c.version.clone(), missing: missing.clone(), near }
        }
        _ => FetchError::UnknownVersion { request: text.to_owned(), near },
    })
}

/// Whole kernels around the first version in `text`: half of them below, half above.
fn near(candidates: &[Candidate], text: &str) -> Vec<String> {
    let wanted = text.split(['.', '+', '=']).take(3).collect::<Vec<_>>().join(".");
    let rank = decompose_version_for_compare(&wanted).or_else(|| decompose_version_for_compare(text));
    let mut versions: Vec<&str> = candidates.iter().filter(|c| c.is_complete()).map(|c| c.version.as_str()).collect();
    versions.dedup();
    let at = match rank {
        Some(_) => versions.partition_point(|v| decompose_version_for_compare(v) < rank),
        None => versions.len(),
    };
    let start = at.saturating_sub(NEAR / 2).min(versions.len().saturating_sub(NEAR));
    let near: Vec<String> = versions[start..].iter().take(NEAR).map(|v| (*v).to_owned()).collect();
    if near.is_empty() { vec!["none at all; run `apt-get update`".to_owned()] } else { near }
}

#[cfg(test)]
mod tests {
    use super::super::candidate::tests::archive;
    use super::*;
    use proptest::prelude::*;

    fn answer(text: &str) -> Result<String, String> {
        let request = Request::parse(text).map_err(|e| e.to_string())?;
        choose(&archive(), &request, text).map(|c| c.version.clone()).map_err(|e| e.to_string())
    }

    #[test]
    fn each_form_gets_the_newest_that_matches() {
        for (text, version) in [
            ("", "7.3.4"),
            ("debian-backports", "7.3.4"),
            ("6.18", "6.18.15"),
            ("6.18.9", "6.18.9"),
            ("6.18.9+deb13", "6.18.9"),
            ("7", "7.3.4"),
            ("6.12", "6.12.95"),
            ("7.4-rc7", "7.4-rc7"),
            ("6.18..7.3", "7.2.12"),
            ("6.18..=7.3.4", "7.3.4"),
            ("6.18..7.4", "7.3.4"),
            ("7.3..7.4-rc9", "7.4-rc7"),
        ] {
            assert_eq!(answer(text).as_deref(), Ok(version), "{text}");
        }
    }

    #[test]
    fn an_unknown_version_offers_those_around_it() {
        let error = answer("6.18.10").expect_err("unknown");
        assert!(error.contains("6.18.10 in the archive; there is 6.12.95, 6.18.9, 6.18.15, 7.2.12, 7.3.4"), "{error}");
        assert!(answer("7.4").expect_err("only a candidate").contains("7.4-rc7"));
        assert!(!answer("9.9").expect_err("unknown").contains("7.0.4"), "an incomplete one is not offered");
    }

    #[test]
    fn a_version_that_lost_a_package_says_which() {
        let error = answer("7.0").expect_err("incomplete");
        assert!(error.contains("linux-base-7.0.4") && error.contains("7.2.12"), "{error}");
    }

    #[test]
    fn a_request_that_is_none_gets_the_forms() {
        assert!(answer("fast").expect_err("no form").contains("give a version"));
        assert!(answer("7.3..6.18").expect_err("inverted").contains("write 6.18..7.3"));
        assert!(answer("a..b").expect_err("no versions").contains("both ends"));
        assert!(answer("x.rpm").expect_err("rpm").contains(".deb"));
    }

    #[test]
    fn of_one_version_in_two_suites_the_first_suite_wins() {
        let mut both = archive();
        let mut later = both.clone();
        later.iter_mut().for_each(|c| c.suite = "sid".into());
        both.extend(later);
        super::super::candidate::sort(&mut both);
        let chosen = choose(&both, &Request::Newest, "").expect("one");
        assert_eq!(chosen.suite, "trixie-backports");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-z.=+~/-]{0,16}") {
            let _ = answer(&text);
        }
    }
}

//! A suite's signed release file.

use super::date::parse_release_date;
use super::error::FetchError;
use super::stanza::{Stanza, stanzas};

/// What is needed of a release file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Release {
    /// SHA-256 of the compressed package index.
    pub(super) index_sha256: String,
    /// Its size in bytes.
    pub(super) index_size: u64,
    /// Whether files can be asked for by hash, which no mirror update can race with.
    pub(super) by_hash: bool,
}

/// Reads the text that was signed, which must be of `suite` and not outdated at `now` (seconds since 1970), if given.
///
/// # Errors
/// [`FetchError::BadRelease`] says which of these does not hold, or that `index` (a path below the suite) is not listed.
pub(super) fn parse_release(text: &str, suite: &str, index: &str, now: Option<i64>) -> Result<Release, FetchError> {
    let bad = |why: String| FetchError::BadRelease { suite: suite.to_owned(), why };
    let s = stanzas(text).next().ok_or_else(|| bad("it is empty".into()))?;
    if s.get("Codename") != Some(suite) && s.get("Suite") != Some(suite) {
        return Err(bad(format!("it is that of {}", s.get("Codename").unwrap_or("an unnamed suite"))));
    }
    if let Some(until) = s.get("Valid-Until")
        && let Some(now) = now
    {
        let end = parse_release_date(until).ok_or_else(|| bad(format!("Valid-Until {until:?} is no date")))?;
        if end < now {
            return Err(bad(format!("it was valid until {until}; the mirror is outdated")));
        }
    }
    let (index_sha256, index_size) =
        listed(s, index).ok_or_else(|| bad(format!("it lists no {index} with SHA-256")))?;
    Ok(Release { index_sha256, index_size, by_hash: s.get("Acquire-By-Hash") == Some("yes") })
}

fn listed(s: Stanza<'_>, path: &str) -> Option<(String, u64)> {
    s.get("SHA256")?.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [hash, size, name] if name == path && is_sha256(hash) => Some((hash.to_owned(), size.parse().ok()?)),
            _ => None,
        }
    })
}

/// 64 lower-case hex digits. What names files must be nothing else.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "main/binary-amd64/Packages.xz";
    const HASH: &str = "1f75f55a8e77228bd1dba6eba18622ca2882fb9bbe189a0c43e2480fc4eb70a1";

    fn text() -> String {
        format!(
            "Origin: Debian Backports\nSuite: stable-backports\nCodename: trixie-backports\nValid-Until: Sun, 29 Nov 2026 02:09:05 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n 203e1451a4c2e0edf3646a5da3cec2d8 5 {INDEX}\nSHA256:\n 0 1 other\n {HASH}   311880 {INDEX}\n"
        )
    }

    #[test]
    fn the_sha256_of_the_index_is_read_and_not_the_md5() {
        let release = parse_release(&text(), "trixie-backports", INDEX, Some(0)).expect("valid");
        assert_eq!(release, Release { index_sha256: HASH.into(), index_size: 311_880, by_hash: true });
    }

    #[test]
    fn another_suites_release_file_is_refused() {
        let error = parse_release(&text(), "sid", INDEX, None).expect_err("another suite's").to_string();
        assert!(error.contains("that of trixie-backports"), "{error}");
    }

    #[test]
    fn an_outdated_release_file_is_refused_unless_apt_does_not_check() {
        let late = Some(1_800_000_000);
        let error = parse_release(&text(), "trixie-backports", INDEX, late).expect_err("late").to_string();
        assert!(error.contains("valid until Sun, 29 Nov 2026"), "{error}");
        assert!(parse_release(&text(), "trixie-backports", INDEX, None).is_ok());
    }

    #[test]
    fn a_missing_index_is_named() {
        let error = parse_release(&text(), "trixie-backports", "main/x", None).expect_err("none").to_string();
        assert!(error.contains("main/x"), "{error}");
        let short = text().replace(HASH, "abc");
        assert!(parse_release(&short, "trixie-backports", INDEX, None).is_err());
    }
}

//! Kernel versions and their order.

/// (major, minor, patch, rc); a release has the highest rc of all, missing parts are 0.
pub type VersionKey = (u64, u64, u64, u64);

/// Rc of a release: above all release candidates.
const RELEASE: u64 = u64::MAX;

/// The parts of `MAJ[.MIN[.PATCH]][-rcN]`; `None` for anything else.
#[must_use]
pub fn decompose_version_for_compare(text: &str) -> Option<VersionKey> {
    let number = |part: &str| {
        (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u64>().ok()).flatten()
    };
    let (numbers, rc) = match text.split_once('-') {
        Some((numbers, suffix)) => (numbers, number(suffix.strip_prefix("rc")?)?),
        None => (text, RELEASE),
    };
    let parts: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
    match parts[..] {
        [major] => Some((major, 0, 0, rc)),
        [major, minor] => Some((major, minor, 0, rc)),
        [major, minor, patch] => Some((major, minor, patch, rc)),
        _ => None,
    }
}

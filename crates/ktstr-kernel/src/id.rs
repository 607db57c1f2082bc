//! What a kernel may be called.

use crate::version::decompose_version_for_compare;
use std::path::PathBuf;
use thiserror::Error;

/// A reference of a git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitRef {
    /// `tag=`.
    Tag(String),
    /// `branch=`.
    Branch(String),
    /// `sha=`.
    Sha(String),
}

/// One way to name a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelId {
    /// `git+URL#tag=…|branch=…|sha=…`.
    Git {
        /// Where the repository is.
        url: String,
        /// What of it.
        reference: GitRef,
    },
    /// A `.deb` or `.rpm` file.
    PackageFile(PathBuf),
    /// `A..B` or `A..=B`, both ends included.
    Range {
        /// First version.
        start: String,
        /// Last version.
        end: String,
    },
    /// A file or directory.
    Path(PathBuf),
    /// `MAJ[.MIN[.PATCH]][-rcN]`.
    Version(String),
    /// A distribution's own kernel, with an optional release or version.
    Distro {
        /// `debian`, `debian-backports`, `ubuntu` or `fedora`.
        name: String,
        /// What followed `-` or `:`.
        release: Option<String>,
    },
    /// The name of a cache entry.
    CacheKey(String),
}

/// A kernel name that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelIdError {
    /// Nothing at all.
    #[error("an empty text names no kernel: give a version like 6.18, a range like 6.18..7.3, or a path")]
    Empty,
    /// A git URL without a reference.
    #[error("`{0}` names no reference: append #tag=…, #branch=… or #sha=…")]
    Git(String),
    /// A range whose ends are swapped.
    #[error("the range {start}..{end} is empty: did you mean {end}..{start}?")]
    Inverted {
        /// As written.
        start: String,
        /// As written.
        end: String,
    },
}

const DISTROS: [&str; 4] = ["debian-backports", "debian", "ubuntu", "fedora"];

impl KernelId {
    /// Reads a name; the first form that matches wins.
    ///
    /// # Errors
    /// An empty text, a git URL without reference, an inverted range.
    pub fn parse(text: &str) -> Result<Self, KernelIdError> {
        if text.is_empty() {
            return Err(KernelIdError::Empty);
        }
        if let Some(rest) = text.strip_prefix("git+") {
            return git(rest).ok_or_else(|| KernelIdError::Git(text.to_owned()));
        }
        let path = || PathBuf::from(expand_home(text));
        let extension = text.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
        if matches!(extension.as_deref(), Some("deb" | "rpm")) {
            return Ok(Self::PackageFile(path()));
        }
        if let Some((start, end)) = split_range(text) {
            let inverted = decompose_version_for_compare(start) > decompose_version_for_compare(end);
            let (start, end) = (start.to_owned(), end.to_owned());
            return if inverted { Err(KernelIdError::Inverted { start, end }) } else { Ok(Self::Range { start, end }) };
        }
        if text.contains('/') || text.starts_with(['.', '~']) {
            return Ok(Self::Path(path()));
        }
        if decompose_version_for_compare(text).is_some() {
            return Ok(Self::Version(text.to_owned()));
        }
        for name in DISTROS {
            let Some(rest) = text.strip_prefix(name) else {
                continue;
            };
            let release = match rest.chars().next() {
                None => None,
                Some('-' | ':') if rest.len() > 1 => Some(rest[1..].to_owned()),
                Some(_) => continue,
            };
            return Ok(Self::Distro { name: name.to_owned(), release });
        }
        Ok(Self::CacheKey(text.to_owned()))
    }
}

/// The ends of `A..B` or `A..=B` when both are versions.
pub(crate) fn split_range(text: &str) -> Option<(&str, &str)> {
    let (start, end) = text.split_once("..")?;
    let end = end.strip_prefix('=').unwrap_or(end);
    let version = |t: &str| decompose_version_for_compare(t).is_some();
    (version(start) && version(end)).then_some((start, end))
}

fn git(rest: &str) -> Option<KernelId> {
    let (url, fragment) = rest.split_once('#')?;
    let (kind, value) = fragment.split_once('=')?;
    if url.is_empty() || value.is_empty() {
        return None;
    }
    let reference = match kind {
        "tag" => GitRef::Tag(value.to_owned()),
        "branch" => GitRef::Branch(value.to_owned()),
        "sha" => GitRef::Sha(value.to_owned()),
        _ => return None,
    };
    Some(KernelId::Git { url: url.to_owned(), reference })
}

fn expand_home(text: &str) -> String {
    match (text.strip_prefix('~'), std::env::var("HOME")) {
        (Some(rest), Ok(home)) if rest.is_empty() || rest.starts_with('/') => {
            format!("{home}{rest}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_known_for_what_it_is() {
        let parse = |t: &str| KernelId::parse(t).unwrap();
        assert!(matches!(
            parse("git+https://example.org/l#tag=v6.18"),
            KernelId::Git { reference: GitRef::Tag(_), .. }
        ));
        assert!(matches!(parse("./linux.deb"), KernelId::PackageFile(_)));
        assert!(matches!(parse("6.18..=7.3"), KernelId::Range { .. }));
        assert!(matches!(parse("../linux"), KernelId::Path(_)));
        assert!(matches!(parse("6.18-rc3"), KernelId::Version(_)));
        assert_eq!(parse("debian-backports"), KernelId::Distro { name: "debian-backports".into(), release: None });
        assert_eq!(parse("ubuntu:26.04"), KernelId::Distro { name: "ubuntu".into(), release: Some("26.04".into()) });
        assert!(matches!(parse("6.14.2-tarball-x86_64"), KernelId::CacheKey(_)));
    }

    #[test]
    fn an_inverted_range_is_answered_with_the_swap() {
        let text = KernelId::parse("7.3..6.18").unwrap_err().to_string();
        assert!(text.contains("did you mean 6.18..7.3?"), "{text}");
    }
}

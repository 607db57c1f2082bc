//! Why a kernel could not be had.

use crate::cache::CacheError;
use crate::image::ImageError;
use std::path::PathBuf;

/// Every way to fail, each with its next step.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A program or file of the distribution is not installed.
    #[error("{what} is missing; install it with `apt-get install {package}`")]
    MissingTool {
        /// The program or file.
        what: String,
        /// The package that holds it.
        package: &'static str,
    },
    /// apt knows no Debian archive.
    #[error(
        "apt on this machine has no Debian archive to take kernels from; run `apt-get update`, or give a local file: `cargo ktstr kernel fetch ./linux-image-….deb`"
    )]
    NoArchive,
    /// The mirror cannot be reached.
    #[error(
        "cannot reach the package mirror: {said}\nwhile fetching {url}; connect, or set apt's proxy (Acquire::http::Proxy), and repeat"
    )]
    Offline {
        /// What was asked for.
        url: String,
        /// What apt said.
        said: String,
    },
    /// The mirror answers and does not have it.
    #[error("the mirror does not have {url}; run `apt-get update` and repeat, its lists may just have changed")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// apt failed otherwise.
    #[error("apt failed to fetch {url}: {said}")]
    Apt {
        /// What was asked for.
        url: String,
        /// What apt said.
        said: String,
    },
    /// The release file carries no signature that this machine trusts, though nothing contradicts it.
    #[error(
        "the release file of {suite} is signed only with keys that this machine does not know; upgrade the package debian-archive-keyring"
    )]
    UnknownKey {
        /// Its suite.
        suite: String,
    },
    /// The release file is not what was signed.
    #[error(
        "the release file of {suite} has a bad signature ({said}); nothing was used of it. Try another mirror, and distrust this one"
    )]
    BadSignature {
        /// Its suite.
        suite: String,
        /// What gpgv said.
        said: String,
    },
    /// The release file is another suite's, or too old, or lists no index.
    #[error("the release file of {suite} cannot be used: {why}")]
    BadRelease {
        /// The suite that was asked for.
        suite: String,
        /// What is wrong.
        why: String,
    },
    /// A download is not what the signed index promises.
    #[error(
        "{what} does not match its signed SHA-256\n  wanted {wanted}\n  got    {got}; nothing was kept, repeat or try another mirror"
    )]
    HashMismatch {
        /// The file's name.
        what: String,
        /// By the index.
        wanted: String,
        /// Of the download.
        got: String,
    },
    /// Not enough room to begin.
    #[error(
        "{need_mib} MiB are needed in {} and {have_mib} are free; `cargo ktstr kernel clean --keep 1` frees some, or set KTSTR_CACHE_DIR", path.display()
    )]
    NoRoom {
        /// The cache.
        path: PathBuf,
        /// What the download and the unpacked kernel take.
        need_mib: u64,
        /// What is free.
        have_mib: u64,
    },
    /// Nothing matches the request.
    #[error("no kernel {request} in the archive; there is {}\n`cargo ktstr kernel fetch --list` shows all", near.join(", "))]
    UnknownVersion {
        /// The request as it was written.
        request: String,
        /// Versions near it.
        near: Vec<String>,
    },
    /// The mirror lists only a part of it.
    #[error("the archive no longer has all packages of {version}: {missing} is gone; there is {}", near.join(", "))]
    Incomplete {
        /// The version.
        version: String,
        /// The package that is not there.
        missing: String,
        /// Versions near it that are whole.
        near: Vec<String>,
    },
    /// The request cannot be read.
    #[error("cannot fetch {request:?}: {why}")]
    Request {
        /// As it was written.
        request: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A package cannot be unpacked or does not hold a kernel.
    #[error("package {} cannot be used: {why}", path.display())]
    Package {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The kernel image is not whole.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The cache refused.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl FetchError {
    /// Whether the answer may differ when the machine is connected.
    pub fn is_offline(&self) -> bool {
        matches!(self, Self::Offline { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_at_most_three_lines_and_says_what_to_do() {
        let s = String::from;
        let all = [
            FetchError::MissingTool { what: s("gpgv"), package: "gpgv" },
            FetchError::NoArchive,
            FetchError::Offline { url: s("u"), said: s("Could not resolve 'x'") },
            FetchError::NotFound { url: s("u") },
            FetchError::UnknownKey { suite: s("sid") },
            FetchError::BadSignature { suite: s("sid"), said: s("BADSIG") },
            FetchError::HashMismatch { what: s("a.deb"), wanted: s("0"), got: s("1") },
            FetchError::NoRoom { path: PathBuf::from("/c"), need_mib: 200, have_mib: 3 },
            FetchError::UnknownVersion { request: s("9.9"), near: vec![s("7.3.4")] },
            FetchError::Incomplete { version: s("7.0.4"), missing: s("linux-base"), near: vec![s("7.2.6")] },
        ];
        for error in all {
            let text = error.to_string();
            assert!(text.lines().count() <= 3, "{text}");
            let next = ["install", "run", "connect", "upgrade", "mirror", "clean", "--list", "there is"];
            assert!(next.iter().any(|n| text.contains(n)), "{text}");
        }
    }
}

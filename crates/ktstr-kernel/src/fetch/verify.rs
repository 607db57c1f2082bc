//! Signatures and hashes.

use super::apt::run;
use super::error::FetchError;
use crate::cache::sha256_file;
use std::path::Path;
use std::process::Command;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The text of a clear-signed release file, if a key of the distribution signed it.
pub(super) fn signed_text(suite: &str, file: &Path) -> Result<String, FetchError> {
    if !Path::new(KEYRING).exists() {
        return Err(FetchError::MissingTool { what: KEYRING.to_owned(), package: "debian-archive-keyring" });
    }
    let mut command = Command::new("gpgv");
    command.args(["--keyring", KEYRING, "--output", "-"]).arg(file);
    let output = run(&mut command, "gpgv", "gpgv")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let good = said.contains("Good signature");
    // With several signatures gpgv fails when it does not know one of the keys; a good one and no bad one is enough.
    if good && !said.contains("BAD signature") {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let suite = suite.to_owned();
    if said.contains("No public key") && !said.contains("BAD signature") {
        return Err(FetchError::UnknownKey { suite });
    }
    let line = said.lines().last().unwrap_or("no signature").to_owned();
    Err(FetchError::BadSignature { suite, said: line })
}

/// Whether a file is the one that a signed list promises.
pub(super) fn check_sha256(what: &str, file: &Path, wanted: &str) -> Result<(), FetchError> {
    let got = sha256_file(file)
        .map_err(|e| FetchError::Package { path: file.to_owned(), why: format!("it cannot be read: {e}") })?;
    if got == wanted {
        return Ok(());
    }
    Err(FetchError::HashMismatch { what: what.to_owned(), wanted: wanted.to_owned(), got })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_the_promised_one_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(check_sha256("x", file.path(), empty).is_ok());
        assert!(matches!(check_sha256("x", file.path(), "00"), Err(FetchError::HashMismatch { .. })));
    }

    #[test]
    fn a_release_file_without_a_signature_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "Suite: stable\n").expect("writes");
        assert!(signed_text("stable", file.path()).is_err());
    }
}

//! SHA-256, as the lower-case hex that package indices use.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read at a time: large enough that the hash, not the system call, is what takes the time.
const CHUNK: usize = 1 << 18;

/// The SHA-256 of `bytes` in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a file's contents in lower-case hex, read in pieces.
///
/// # Errors
/// Whatever opening or reading says.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut state = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&state.finalize())),
            n => state.update(&chunk[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_input_has_the_published_hash() {
        let wanted = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; // FIPS 180-2, empty message
        assert_eq!(sha256_hex(b""), wanted);
    }

    #[test]
    fn a_file_hashes_like_its_bytes() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("big");
        let bytes = vec![7_u8; CHUNK + 3];
        std::fs::write(&path, &bytes)?;
        assert_eq!(sha256_file(&path)?, sha256_hex(&bytes));
        Ok(())
    }
}

//! The coverage profile of a guest, put where the host's own goes.

use ktstr_wire::{Message, Transcript};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Beginning of such a file's name.
const PREFIX: &str = "ktstr-guest-";

/// Puts what the guest counted beside the file that `LLVM_PROFILE_FILE` names, so that whatever gathers the host's profiles finds
/// it too. Without the variable, or without a profile, there is nothing to do.
pub fn keep(transcript: &Transcript) {
    let Some(pattern) = std::env::var_os("LLVM_PROFILE_FILE").filter(|v| !v.is_empty()) else { return };
    let dir = Path::new(&pattern).parent().unwrap_or(Path::new("."));
    let Some(profile) = profile_of(transcript.messages().iter().map(|(_, m)| m)) else { return };
    // A process boots one machine at a time, and sometimes several: each has a file.
    let number = NEXT.fetch_add(1, Relaxed);
    let path = dir.join(format!("{PREFIX}{}-{number}.profraw", std::process::id()));
    if let Err(e) = std::fs::write(&path, profile) {
        eprintln!("ktstr: WARNING: the guest's coverage is lost: {}: {e}", path.display());
    }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Its pieces in their order; `None` when there are none.
fn profile_of<'a>(messages: impl Iterator<Item = &'a Message>) -> Option<Vec<u8>> {
    let pieces: Vec<&[u8]> = messages
        .filter_map(|m| match m {
            Message::Profraw { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        })
        .collect();
    (!pieces.is_empty()).then(|| pieces.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_its_pieces_in_order_and_without_any_there_is_none() {
        let piece = |bytes: &[u8]| Message::Profraw { name: "p".into(), bytes: bytes.to_vec() };
        let all = [Message::Phase("x".into()), piece(b"ab"), Message::Phase("y".into()), piece(b"cd")];
        assert_eq!(profile_of(all.iter()).as_deref(), Some(&b"abcd"[..]));
        assert_eq!(profile_of(all[..1].iter()), None);
    }
}

//! A guest that says anything: the decoder neither panics nor trusts it.
#![no_main]

use ktstr_wire::{Nonce, Transcript};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut transcript = Transcript::new(Nonce(7));
    let (first, rest) = data.split_at(data.len() / 2);
    transcript.feed(first, 0);
    transcript.feed(rest, 1);
    let _ = transcript.messages();
});

//! Streams, whole and spoiled.
#![allow(clippy::unwrap_used)]

use ktstr_wire::{Encoder, Message, Nonce, PanicReport, Stage, StreamFault, TestReport, Transcript};
use proptest::prelude::*;

const NONCE: Nonce = Nonce(42);

fn messages() -> Vec<Message> {
    vec![
        Message::Phase("test".into()),
        Message::Console("Linux version".into()),
        Message::Outcome(TestReport { ok: None, err: Some("no".into()), stage: Stage::Test }),
    ]
}

fn stream(messages: &[Message]) -> Vec<u8> {
    let mut encoder = Encoder::new(NONCE);
    let mut bytes: Vec<u8> = messages.iter().flat_map(|m| encoder.encode(m).unwrap()).collect();
    bytes.extend(encoder.bye());
    bytes
}

fn read(bytes: &[u8]) -> Transcript {
    let mut transcript = Transcript::new(NONCE);
    transcript.feed(bytes, 0);
    transcript
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_never_complete(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(!read(&bytes).is_complete());
    }

    #[test]
    fn any_tail_after_a_good_start_is_survived(cut in 0usize..400, tail in prop::collection::vec(any::<u8>(), 1..200)) {
        let mut bytes = stream(&messages());
        bytes.truncate(cut);
        let good = bytes.clone();
        bytes.extend(&tail);
        let whole = stream(&messages());
        prop_assume!(bytes != whole && good.len() <= whole.len());
        prop_assert!(!read(&bytes).is_complete());
    }

    #[test]
    fn chunks_do_not_matter(sizes in prop::collection::vec(1usize..50, 1..200)) {
        let bytes = stream(&messages());
        let mut transcript = Transcript::new(NONCE);
        let mut rest = bytes.as_slice();
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break; }
            let (now, later) = rest.split_at((*size).min(rest.len()));
            transcript.feed(now, 0);
            rest = later;
        }
        let at_once = read(&bytes);
        prop_assert_eq!(transcript.messages(), at_once.messages());
        prop_assert!(transcript.is_complete());
    }
}

#[test]
fn every_single_bit_flip_is_noticed() {
    let bytes = stream(&messages());
    for bit in 0..bytes.len() * 8 {
        let mut spoiled = bytes.clone();
        spoiled[bit / 8] ^= 1 << (bit % 8);
        assert!(!read(&spoiled).is_complete(), "bit {bit}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = stream(&messages());
    assert!(read(&bytes).is_complete());
    for cut in 0..bytes.len() {
        assert!(!read(&bytes[..cut]).is_complete(), "cut at {cut}");
    }
}

#[test]
fn an_earlier_attempt_s_stream_is_refused_at_its_first_frame() {
    let mut transcript = Transcript::new(Nonce(43));
    transcript.feed(&stream(&messages()), 0);
    assert!(transcript.messages().is_empty());
    assert!(matches!(transcript.fault(), Some(StreamFault::Nonce { .. })));
}

#[test]
fn what_came_before_the_fault_stays_as_evidence() {
    let mut bytes = stream(&messages());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let transcript = read(&bytes);
    assert_eq!(transcript.messages().len(), 3);
    assert!(!transcript.is_complete());
}

#[test]
fn the_emergency_frame_reads_as_a_panic() {
    let mut buffer = [0; 256];
    let len = ktstr_wire::encode_panic_noalloc(&mut buffer, NONCE.0, 0, "SIGSEGV \"at\" 0x0\n");
    let transcript = read(&buffer[..len]);
    let expected = Message::Panic(PanicReport {
        message: "SIGSEGV ?at? 0x0?".into(),
        location: "signal handler".into(),
        backtrace: String::new(),
    });
    assert_eq!(transcript.messages(), [(0, expected)]);
    assert_eq!(ktstr_wire::encode_panic_noalloc(&mut [0; 10], 0, 0, "x"), 0);
}

//! Pages made by hand give what was put in, whatever is in them nothing panics, and a real guest's trace is what it was.

#![allow(clippy::cast_possible_truncation)] // Small numbers, made for the tests.

use super::*;
use proptest::prelude::*;

/// A page of events, each a delta of ns and whole words; the clock begins at `start`.
fn page(start: u64, events: &[(u64, Vec<u32>)], lost: bool) -> Vec<u8> {
    let mut data: Vec<u8> = Vec::new();
    let word = |data: &mut Vec<u8>, word: u32| data.extend_from_slice(&word.to_le_bytes());
    for (delta, words) in events {
        let mut delta = *delta;
        if delta >> 27 != 0 {
            word(&mut data, (delta as u32 & ((1 << 27) - 1)) << 5 | 30);
            word(&mut data, (delta >> 27) as u32);
            delta = 0;
        }
        let length = words.len() as u32;
        if (1..=28).contains(&length) {
            word(&mut data, (delta as u32) << 5 | length);
        } else {
            word(&mut data, (delta as u32) << 5);
            word(&mut data, 4 * length + 4);
        }
        words.iter().for_each(|w| word(&mut data, *w));
    }
    let commit = data.len() as u64 | if lost { 1 << 31 } else { 0 };
    let mut out = [start.to_le_bytes(), commit.to_le_bytes()].concat();
    out.extend(data);
    out.resize(PAGE.max(out.len()), 0xaa);
    out
}

/// Fields of a message: number, and what it holds.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Number(u64),
    Bytes(Vec<u8>),
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Held)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut out = 0;
        for place in 0.. {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            out |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        out
    }
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = varint(&mut bytes);
        if key & 7 == 0 {
            out.push((key >> 3, Held::Number(value)));
        } else {
            assert_eq!(key & 7, 2);
            let (own, rest) = bytes.split_at(value as usize);
            out.push((key >> 3, Held::Bytes(own.to_vec())));
            bytes = rest;
        }
    }
    out
}

proptest! {
    #[test]
    fn the_events_of_a_page_come_out_as_they_went_in(
        start in 0u64..1 << 50,
        events in proptest::collection::vec((0u64..1 << 40, proptest::collection::vec(any::<u32>(), 0..40)), 0..20),
        lost: bool,
    ) {
        let page = page(start, &events, lost);
        let mut seen = Vec::new();
        prop_assert_eq!(ring::read(&page, |time, bytes| seen.push((time, bytes.to_vec()))), lost);
        let mut time = start;
        let wanted: Vec<(u64, Vec<u8>)> = events
            .iter()
            .map(|(delta, words)| {
                time += delta;
                (time, words.iter().flat_map(|w| w.to_le_bytes()).collect())
            })
            .collect();
        prop_assert_eq!(seen, wanted);
    }

    #[test]
    fn no_page_and_no_format_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
        ring::read(&bytes, |_, _| {});
        let _ = format::parse(&text);
        let part = |what, bytes: Vec<u8>| TracePart { what, bytes };
        let format = format!("name: x\nID: 5\nformat:\n\t{text}\n\tfield:int n;\toffset:2;\tsize:4;\tsigned:1;\n");
        let mut whole = bytes;
        whole.resize(PAGE, 5);
        let _ = perfetto("", &[part(TraceWhat::Format, format.into_bytes()), part(TraceWhat::Pages { cpu: 0 }, whole)]);
    }

    #[test]
    fn numbers_and_texts_of_a_message_come_out_as_they_went_in(number: u64, text: String, field in 1u64..1000) {
        let mut inner = Proto::default();
        inner.text(field, &text);
        let mut out = Proto::default();
        out.number(field, number);
        out.message(field + 1, &inner);
        let seen = fields(&out.into_bytes());
        prop_assert_eq!(&seen[0], &(field, Held::Number(number)));
        let Held::Bytes(inner) = &seen[1].1 else { panic!("a number") };
        prop_assert_eq!(fields(inner), vec![(field, Held::Bytes(text.into_bytes()))]);
    }
}

#[test]
fn text_elsewhere_and_negative_numbers_are_understood() {
    let event = format::parse(
        "name: sched_ext_event\nID: 700\nformat:\n\
         \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:0;\n\
         \tfield:__s64 delta;\toffset:16;\tsize:8;\tsigned:1;\n\nprint fmt: \"\"\n",
    )
    .unwrap();
    assert_eq!((event.name.as_str(), event.id, event.fields.len()), ("sched_ext_event", 700, 3));
    let mut bytes = vec![0; 24];
    bytes[8..12].copy_from_slice(&(5u32 << 16 | 24).to_le_bytes());
    bytes[16..24].copy_from_slice(&(-3i64).to_le_bytes());
    bytes.extend(b"FALL\0");
    assert_eq!(event.fields[1].value(&bytes), Some(format::Value::Text("FALL".into())));
    assert_eq!(event.fields[2].value(&bytes), Some(format::Value::Number((-3i64).cast_unsigned())));
    assert_eq!(event.fields[1].value(&bytes[..26]), None, "cut");
}

#[test]
fn nothing_recorded_is_no_trace() {
    assert_eq!(perfetto("6.18", &[]), None);
    let empty = TracePart { what: TraceWhat::Pages { cpu: 0 }, bytes: page(1, &[], true) };
    assert_eq!(perfetto("6.18", [&empty]), None);
}

/// The parts of a real guest's trace, cut to one page: 6.18, two CPUs, pairs that wake each other under a published scheduler.
const GUEST: &str = include_str!("../../tests/trace/guest.json");

/// One line for each event: time, thread, the field of its kind, and what it holds.
fn lines(trace: &[u8]) -> Vec<String> {
    let inner = |held: &Held| match held {
        Held::Bytes(bytes) => fields(bytes),
        Held::Number(n) => panic!("{n} is no message"),
    };
    let packets = fields(trace).into_iter().flat_map(|(_, packet)| inner(&packet));
    let bundles = packets.filter(|(field, _)| *field == 1).map(|(_, bundle)| inner(&bundle));
    let events = bundles.flatten().filter(|(field, _)| *field == 2);
    let said = |held: &Held| match held {
        Held::Number(n) => n.to_string(),
        Held::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let event = |event: Held| {
        let parts = fields(match &event {
            Held::Bytes(bytes) => bytes,
            Held::Number(_) => &[],
        });
        let (kind, held) = &parts[2];
        let held: Vec<String> = inner(held).iter().map(|(field, value)| format!("{field}={}", said(value))).collect();
        format!("{} {} {kind}: {}", said(&parts[0].1), said(&parts[1].1), held.join(" "))
    };
    events.map(|(_, held)| event(held)).collect()
}

#[test]
fn a_real_guest_s_page_is_read_as_it_was() {
    let parts: Vec<TracePart> = serde_json::from_str(GUEST).unwrap();
    let lines = lines(&perfetto("6.18.15", &parts).unwrap());
    insta::assert_snapshot!(format!("{} events\n{}", lines.len(), lines[..12].join("\n")));
}

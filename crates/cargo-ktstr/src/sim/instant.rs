//! `--at`: an instant of a recorded run, in the virtual time that its machine can be stopped at.

use super::frames::frames;
use anyhow::{Context as _, Result, bail, ensure};
use ktstr_sidecar::SidecarRecord;
use ktstr_wire::Message;
use serde::Serialize;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// ns of virtual time that an instruction takes (`tcg/args.rs`, `ICOUNT`).
const INSTRUCTION_NS: u64 = 2;

/// An instant as somebody names it: since the test began, which is what a record's times count from, or around the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// So long after the test began.
    Test(Duration),
    /// So long before the first sign of failure.
    Failure(Duration),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (of, length): (fn(Duration) -> Self, _) = match text.strip_prefix("failure").map(str::trim) {
            Some("") => return Ok(Self::Failure(Duration::ZERO)),
            Some(rest) => (Self::Failure, rest.strip_prefix('-')),
            None => (Self::Test, Some(text)),
        };
        length.and_then(|length| duration(length.trim())).map(of).ok_or_else(|| {
            format!(
                "`{text}` is no length of time such as 337.374ms; or say `failure`, or `failure-2ms` for some time before it"
            )
        })
    }
}

/// A number and its unit, as records have them; with a blank between or without.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "ns" => 1e-9,
        // The sign for micro, and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// What a run left: its record, its output, and the virtual time of each part of that.
pub struct Seen<'a> {
    pub record: &'a SidecarRecord,
    pub console: &'a [u8],
    pub stream: &'a [u8],
    pub times: &'a Times,
}

/// Where a run is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Since power-on.
    pub ns: u64,
    /// In words.
    pub place: String,
}

impl Seen<'_> {
    /// The instant in this run.
    pub fn stop(&self, at: At) -> Result<Stop> {
        ensure!(
            self.times.totals != [0, 0],
            "the run left no times of its output: the binary is of a version that cannot be stopped at an instant"
        );
        ensure!(
            self.times.totals == [self.console.len(), self.stream.len()],
            "the times of the machine's output do not fit the output: {:?} bytes, and there are {} and {}; is the disk full?",
            self.times.totals,
            self.console.len(),
            self.stream.len()
        );
        let frames = frames(self.stream);
        let phase = |wanted| {
            let frame = frames.iter().find(|(_, message)| matches!(message, Message::Phase(name) if name == wanted));
            frame.and_then(|(bytes, _)| self.times.of(Output::Stream, bytes.end - 1))
        };
        let began = phase("test");
        let (ns, sign) = match at {
            At::Test(after) => {
                let began = began.context("the test never began, so there is no time since; try --at failure")?;
                (began.saturating_add(ns(after)), String::new())
            }
            At::Failure(before) => {
                let (failed, sign) = self.failure(&frames, phase("test-end"))?;
                let at = failed.checked_sub(ns(before)).with_context(|| {
                    format!("the machine had not begun by then: it failed {} s after power-on", seconds(failed))
                })?;
                (at, format!("; it failed at {sign}"))
            }
        };
        let end = self.times.end();
        ensure!(ns <= end, "the run is over {} s before that", seconds(ns - end));
        let into = match began {
            Some(began) if ns >= began => format!(", {} s into the test", seconds(ns - began)),
            Some(began) => format!(", {} s before the test", seconds(began - ns)),
            None => String::new(),
        };
        Ok(Stop { ns, place: format!("{} s after power-on{into}{sign}", seconds(ns)) })
    }

    /// What the machine wrote first of its failure, and when: the kernel's complaint, if that is why the test fails and it is on the
    /// console; a panic; else the end of the test, for what an assertion finds.
    fn failure(&self, frames: &[(Range<usize>, Message)], test_end: Option<u64>) -> Result<(u64, String)> {
        ensure!(
            !self.record.passed && !self.record.skipped,
            "this run has not failed; name a time since the test began, such as --at 300ms"
        );
        let complaint =
            self.record.kernel_splat.iter().filter(|line| self.record.message.contains(line.as_str())).find_map(
                |line| {
                    let byte = position(self.console, line.as_bytes())?;
                    Some((self.times.of(Output::Console, byte)?, format!("the kernel's complaint, `{line}`")))
                },
            );
        let frame = |wanted: fn(&Message) -> bool| {
            let found = frames.iter().find(|(_, message)| wanted(message));
            found.and_then(|(bytes, _)| self.times.of(Output::Stream, bytes.start))
        };
        let panic = frame(|m| matches!(m, Message::Panic(_))).map(|at| (at, "a panic".to_owned()));
        let end = test_end.or_else(|| frame(|m| matches!(m, Message::Outcome(_))));
        let end = end.map(|at| (at, "the end of the test, which found it".to_owned()));
        [complaint, panic, end].into_iter().flatten().min_by_key(|(at, _)| *at).context(
            "nothing that this machine wrote tells of the failure; name a time since the test began, such as --at 300ms",
        )
    }
}

fn position(of: &[u8], what: &[u8]) -> Option<usize> {
    (!what.is_empty()).then(|| of.windows(what.len()).position(|part| part == what)).flatten()
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Down to the nanosecond.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// What a machine writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Console,
    Stream,
}

/// Whether a run was another one as far as an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Same {
    /// It wrote the same at the same times, and stopped there.
    Yes,
    /// It wrote the same, and a debugger stopped it before: what that did, nobody knows.
    Touched,
    /// It wrote the same, and was over before.
    Ended,
    /// It wrote something else, or at other times.
    Strayed,
}

/// When a machine wrote what (`KTSTR_SIM_TIMES`), and when it stopped for a debugger.
#[derive(Debug, Default)]
pub struct Times {
    writes: Vec<Write>,
    /// Bytes of console and stream.
    totals: [usize; 2],
    stopped: Option<u64>,
    touched: bool,
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Write {
    output: Output,
    /// Bytes of the output with this one.
    upto: usize,
    ns: u64,
    /// Checksum of the bytes.
    sum: u64,
}

impl Times {
    /// Reads the file; `ktstr_vmm::VmConfig::times` says what is in it.
    pub fn parse(file: &[u8]) -> Result<Self> {
        const WORDS: usize = 4;
        const WORD: usize = size_of::<u64>();
        const ELSE: &str = "the times of the machine's output are damaged: is the disk full, or the binary of another version than this command?";
        let mut times = Self::default();
        let entries = file.chunks_exact(WORDS * WORD);
        ensure!(entries.remainder().is_empty(), ELSE);
        let mut last = 0;
        for entry in entries {
            let word = |i: usize| entry[i * WORD..].first_chunk().copied().map_or(0, u64::from_le_bytes);
            let [what, bytes, ns, sum] = std::array::from_fn(word);
            ensure!(ns >= last, ELSE);
            last = ns;
            let output = match what {
                0 => Output::Console,
                1 => Output::Stream,
                2 => {
                    times.stopped = Some(ns);
                    continue;
                }
                3 => {
                    times.touched = true;
                    continue;
                }
                _ => bail!(ELSE),
            };
            let total = &mut times.totals[output as usize];
            *total = usize::try_from(bytes).ok().and_then(|bytes| total.checked_add(bytes)).context(ELSE)?;
            times.writes.push(Write { output, upto: *total, ns, sum });
        }
        Ok(times)
    }

    /// When this byte of an output was written.
    fn of(&self, output: Output, byte: usize) -> Option<u64> {
        self.writes.iter().find(|write| write.output == output && write.upto > byte).map(|write| write.ns)
    }

    /// Whether a run that was to be stopped at an instant was this one as far as that.
    pub fn same_until(&self, ns: u64, other: &Self) -> Same {
        let until = |times: &Self| times.writes.iter().take_while(|write| write.ns <= ns).count();
        let (ours, theirs) = (&self.writes[..until(self)], &other.writes[..until(other)]);
        // Instants are an instruction apart, so it is the next one.
        let there = other.stopped.is_some_and(|at| (ns..ns + INSTRUCTION_NS).contains(&at));
        match (other.stopped, ours.starts_with(theirs)) {
            (_, false) => Same::Strayed,
            (None, true) => Same::Ended,
            (Some(_), true) if !there || theirs.len() != ours.len() => Same::Strayed,
            (Some(_), true) if other.touched => Same::Touched,
            (Some(_), true) => Same::Yes,
        }
    }

    /// The last.
    fn end(&self) -> u64 {
        self.writes.last().map_or(0, |write| write.ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_wire::{Encoder, Nonce};
    use proptest::prelude::*;

    /// Each write as QEMU's library puts it down, with one checksum.
    fn file(writes: &[(u64, u64, u64)]) -> Vec<u8> {
        writes.iter().flat_map(|(a, b, c)| [*a, *b, *c, 7]).flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn times_are_typed_as_records_have_them() {
        let at = |text: &str| text.parse::<At>();
        assert_eq!(at("337.374 ms"), Ok(At::Test(Duration::from_nanos(337_374_000))));
        assert_eq!(at("5us"), at("0.005ms"));
        assert_eq!((at("5\u{b5}s"), at("5\u{3bc}s")), (at("5us"), at("5us")));
        assert_eq!(at("failure"), Ok(At::Failure(Duration::ZERO)));
        assert_eq!(at("failure-2ms"), at("failure - 2 ms"));
        assert_eq!(at("failure-2ms"), Ok(At::Failure(Duration::from_millis(2))));
        for text in [
            "",
            "12",
            "ms",
            "-3ms",
            "failure+",
            "failure-",
            "failures",
            "failure2ms",
            "failure 2ms",
            "3 weeks",
            "1.2.3s",
            "9e99s",
        ] {
            assert!(at(text).unwrap_err().contains("337.374ms"), "{text}");
        }
    }

    /// A test from 2 µs to 9 µs, and a console whose second line comes at 9.2 µs.
    fn run(passed: bool, message: &str) -> (SidecarRecord, Vec<u8>, Vec<u8>, Times) {
        let mut encoder = Encoder::new(Nonce(1));
        let mut stream = Vec::new();
        let mut writes = Vec::new();
        for (phase, at) in [("boot", 1_000), ("test", 2_000), ("test-end", 9_000)] {
            let frame = encoder.encode(&Message::Phase(phase.into())).unwrap();
            writes.push((1, frame.len() as u64, at));
            stream.extend(frame);
        }
        let console = b"one\n[1] WARNING: two\n".to_vec();
        writes.extend([(0, 4, 9_100), (0, 17, 9_200)]);
        let record = SidecarRecord {
            passed,
            message: message.to_owned(),
            kernel_splat: vec!["[1] allowed".into(), "[1] WARNING: two".into()],
            ..SidecarRecord::default()
        };
        (record, console, stream, Times::parse(&file(&writes)).unwrap())
    }

    fn stop(passed: bool, message: &str, at: &str) -> Result<Stop> {
        let (record, console, stream, times) = run(passed, message);
        Seen { record: &record, console: &console, stream: &stream, times: &times }.stop(at.parse().unwrap())
    }

    #[test]
    fn a_time_since_the_test_began_and_one_before_the_failure() {
        let found = stop(false, "", "3us").unwrap();
        assert_eq!(found.ns, 5_000);
        assert_eq!(found.place, "0.000005000 s after power-on, 0.000003000 s into the test");
        // The test's end comes before the kernel's words here.
        let end = stop(false, "kernel log: [1] WARNING: two", "failure").unwrap();
        assert_eq!((end.ns, end.place.ends_with("it failed at the end of the test, which found it")), (9_000, true));
        let early = stop(false, "", "failure-8us").unwrap();
        assert_eq!((early.ns, early.place.contains("0.000001000 s before the test")), (1_000, true));
    }

    #[test]
    fn the_kernel_s_complaint_is_the_failure_where_it_is_why_the_test_fails() {
        let (mut record, console, _, times) = run(false, "kernel log: [1] WARNING: two");
        let without_end = |record: &SidecarRecord| {
            let seen = Seen { record, console: &console, stream: &[], times: &times };
            seen.failure(&[], None).map_err(|e| e.to_string())
        };
        assert_eq!(without_end(&record), Ok((9_200, "the kernel's complaint, `[1] WARNING: two`".to_owned())));
        // One that the test allows is not.
        record.message = "a worker stood still".into();
        assert!(without_end(&record).unwrap_err().contains("nothing that this machine wrote"));
    }

    #[test]
    fn what_has_no_instant_says_why() {
        let why = |passed, at| stop(passed, "", at).unwrap_err().to_string();
        assert!(why(true, "failure").contains("has not failed"));
        assert_eq!(why(false, "8us"), "the run is over 0.000000800 s before that");
        assert!(why(false, "failure-1s").contains("it failed 0.000009000 s after power-on"));
        let (record, console, stream, times) = run(false, "");
        let short = Seen { record: &record, console: &console[1..], stream: &stream, times: &times };
        assert!(short.stop(At::Test(Duration::ZERO)).unwrap_err().to_string().contains("do not fit the output"));
        for damaged in [&file(&[(1, 8, 10)])[1..], &file(&[(9, 8, 10)]), &file(&[(1, 8, 10), (1, 8, 9)])] {
            assert!(Times::parse(damaged).unwrap_err().to_string().contains("damaged"));
        }
    }

    #[test]
    fn a_run_under_gdb_is_compared_as_far_as_its_stop() {
        let of = |writes: &[(u64, u64, u64)]| Times::parse(&file(writes)).unwrap();
        let recorded = of(&[(1, 8, 10), (1, 8, 20), (1, 8, 30)]);
        let same = |writes: &[(u64, u64, u64)]| recorded.same_until(20, &of(writes));
        // What comes after the stop is another run.
        assert_eq!(same(&[(1, 8, 10), (1, 8, 20), (2, 0, 20), (1, 8, 31)]), Same::Yes);
        assert_eq!(same(&[(1, 8, 10), (1, 8, 20), (2, 0, 21)]), Same::Yes);
        assert_eq!(same(&[(1, 8, 10), (3, 0, 11), (1, 8, 20), (2, 0, 20)]), Same::Touched);
        assert_eq!(same(&[(1, 8, 10), (1, 8, 20)]), Same::Ended);
        assert_eq!(same(&[(1, 8, 10)]), Same::Ended);
        assert_eq!(same(&[(1, 8, 10), (2, 0, 20)]), Same::Strayed);
        assert_eq!(same(&[(1, 8, 10), (1, 8, 20), (2, 0, 22)]), Same::Strayed);
        assert_eq!(same(&[(1, 8, 11), (1, 8, 20), (2, 0, 20)]), Same::Strayed);
        assert_eq!(same(&[(1, 8, 10), (1, 8, 18), (1, 8, 20), (2, 0, 20)]), Same::Strayed);
        assert_eq!(recorded.same_until(20, &Times::default()), Same::Ended);
        // Other bytes at the same times.
        let mut other = of(&[(1, 8, 10), (1, 8, 20), (2, 0, 20)]);
        other.writes[1].sum += 1;
        assert_eq!(recorded.same_until(20, &other), Same::Strayed);
    }

    proptest! {
        /// A byte was written by the first write that goes beyond it.
        #[test]
        fn every_byte_has_the_time_of_its_write(mut writes in proptest::collection::vec((0u64..2, 1u64..9, 0u64..99), 1..40)) {
            writes.sort_by_key(|write| write.2);
            let times = Times::parse(&file(&writes)).unwrap();
            for (output, number) in [(Output::Console, 0), (Output::Stream, 1)] {
                let each = writes.iter().filter(|w| w.0 == number).flat_map(|w| (0..w.1).map(|_| w.2));
                let expected: Vec<u64> = each.collect();
                for (byte, ns) in expected.iter().enumerate() {
                    prop_assert_eq!(times.of(output, byte), Some(*ns));
                }
                prop_assert_eq!(times.of(output, expected.len()), None);
            }
        }
    }
}

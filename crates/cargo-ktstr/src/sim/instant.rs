//! `--at`: an instant of a recorded run, in the virtual time that its machine can be stopped at.

use super::frames::frames;
use anyhow::{Context as _, Result, bail, ensure};
use ktstr_sidecar::SidecarRecord;
use ktstr_wire::Message;
use std::str::FromStr;
use std::time::Duration;

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
        let of = |text: &str| {
            duration(text.trim()).ok_or_else(|| {
                format!("`{text}` is no length of time such as 337.374ms; or say `failure`, or `failure-2ms` for some time before it")
            })
        };
        match text.trim().strip_prefix("failure") {
            Some("") => Ok(Self::Failure(Duration::ZERO)),
            Some(rest) => of(rest.trim().strip_prefix('-').unwrap_or(rest)).map(Self::Failure),
            None => of(text).map(Self::Test),
        }
    }
}

/// A number and its unit, as records have them; with a blank between or without.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
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
        let frames = frames(self.stream);
        let began = frames.iter().find(|(_, message)| matches!(message, Message::Phase(name) if name == "test"));
        let began = began.and_then(|(bytes, _)| self.times.of(Output::Stream, bytes.end - 1));
        let ns = match at {
            At::Test(after) => began
                .context("the test never began, so there is no time since; try --at failure")?
                .saturating_add(ns(after)),
            At::Failure(before) => self.failure(&frames)?.saturating_sub(ns(before)),
        };
        let end = self.times.end();
        ensure!(ns <= end, "the run is over {} s before that", seconds(ns - end));
        let into = match began {
            Some(began) if ns >= began => format!(", {} s into the test", seconds(ns - began)),
            Some(began) => format!(", {} s before the test", seconds(began - ns)),
            None => String::new(),
        };
        Ok(Stop { ns, place: format!("{} s after power-on{into}", seconds(ns)) })
    }

    /// The kernel's first complaint on the console, a panic, or the outcome: whichever comes first.
    fn failure(&self, frames: &[(std::ops::Range<usize>, Message)]) -> Result<u64> {
        ensure!(
            !self.record.passed && !self.record.skipped,
            "this run has not failed; name a time since the test began, such as --at 300ms"
        );
        let complaint =
            self.record.kernel_splat.iter().filter_map(|line| position(self.console, line.as_bytes())).min();
        let told = frames.iter().find(|(_, m)| matches!(m, Message::Panic(_) | Message::Outcome(_)));
        let signs = [
            complaint.and_then(|byte| self.times.of(Output::Console, byte)),
            told.and_then(|(bytes, _)| self.times.of(Output::Stream, bytes.start)),
        ];
        signs.into_iter().flatten().min().context(
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// It wrote the same at the same times.
    Yes,
    /// It did so and was over before.
    Ended,
    /// It did not.
    Strayed,
}

/// When a machine wrote what (`KTSTR_SIM_TIMES`), and whether it has stopped for a debugger.
#[derive(Debug, Default)]
pub struct Times {
    /// Output, bytes of it so far, ns.
    writes: Vec<(Output, usize, u64)>,
    stopped: bool,
}

impl Times {
    /// Reads the file: of each write the output, the bytes, and the virtual time in ns; of the stop the same, as of a third output.
    pub fn parse(file: &[u8]) -> Result<Self> {
        const WORD: usize = 8;
        let mut totals = [0usize; 2];
        let mut times = Self::default();
        for entry in file.chunks_exact(3 * WORD) {
            let word = |i: usize| entry[i * WORD..].first_chunk().copied().map_or(0, u64::from_le_bytes);
            let (output, index) = match word(0) {
                0 => (Output::Console, 0),
                1 => (Output::Stream, 1),
                2 => {
                    times.stopped = true;
                    continue;
                }
                other => bail!("a time of output {other}: the binary and this command are of different versions"),
            };
            totals[index] += usize::try_from(word(1)).unwrap_or(0);
            times.writes.push((output, totals[index], word(2)));
        }
        ensure!(
            !times.writes.is_empty() || times.stopped,
            "the run left no times of its output: the binary is of a version that cannot be stopped at an instant"
        );
        Ok(times)
    }

    /// When this byte of an output was written.
    fn of(&self, output: Output, byte: usize) -> Option<u64> {
        self.writes.iter().find(|(of, upto, _)| *of == output && *upto > byte).map(|(_, _, ns)| *ns)
    }

    /// Whether a run that was to be stopped at an instant was this one as far as that.
    pub fn same_until(&self, ns: u64, other: &Self) -> Same {
        let until = |times: &Self| times.writes.iter().take_while(|(_, _, at)| *at <= ns).count();
        let (ours, theirs) = (&self.writes[..until(self)], &other.writes[..until(other)]);
        match (theirs == ours, ours.starts_with(theirs), other.stopped) {
            (true, _, true) => Same::Yes,
            (_, true, false) => Same::Ended,
            _ => Same::Strayed,
        }
    }

    /// The last.
    fn end(&self) -> u64 {
        self.writes.last().map_or(0, |(_, _, ns)| *ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_wire::{Encoder, Nonce};
    use proptest::prelude::*;

    /// Each write as QEMU's library puts it down.
    fn file(writes: &[(u64, u64, u64)]) -> Vec<u8> {
        writes.iter().flat_map(|(a, b, c)| [a, b, c]).flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn times_are_typed_as_records_have_them() {
        let at = |text: &str| text.parse::<At>();
        assert_eq!(at("337.374 ms"), Ok(At::Test(Duration::from_nanos(337_374_000))));
        assert_eq!(at("5us"), at("0.005ms"));
        assert_eq!(at("failure"), Ok(At::Failure(Duration::ZERO)));
        assert_eq!(at("failure-2ms"), at("failure - 2 ms"));
        assert_eq!(at("failure-2ms"), Ok(At::Failure(Duration::from_millis(2))));
        for text in ["", "12", "ms", "-3ms", "failure+", "failure-", "failures", "3 weeks", "1.2.3s", "9e99s"] {
            assert!(at(text).unwrap_err().contains("337.374ms"), "{text}");
        }
    }

    fn run(passed: bool, splat: &[&str]) -> (SidecarRecord, Vec<u8>, Vec<u8>, Times) {
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
            kernel_splat: splat.iter().map(|s| (*s).to_owned()).collect(),
            ..SidecarRecord::default()
        };
        (record, console, stream, Times::parse(&file(&writes)).unwrap())
    }

    fn stop(passed: bool, splat: &[&str], at: &str) -> Result<Stop> {
        let (record, console, stream, times) = run(passed, splat);
        Seen { record: &record, console: &console, stream: &stream, times: &times }.stop(at.parse().unwrap())
    }

    #[test]
    fn a_time_since_the_test_began_and_one_before_the_kernels_complaint() {
        let found = stop(false, &[], "3us").unwrap();
        assert_eq!(
            found,
            Stop { ns: 5_000, place: "0.000005000 s after power-on, 0.000003000 s into the test".into() }
        );
        assert_eq!(stop(false, &["[1] WARNING: two"], "failure").unwrap().ns, 9_200);
        let early = stop(false, &["[1] WARNING: two"], "failure-8us").unwrap();
        assert_eq!((early.ns, early.place.contains("before the test")), (1_200, true));
    }

    #[test]
    fn what_has_no_instant_says_why() {
        let why = |passed, at| stop(passed, &[], at).unwrap_err().to_string();
        assert!(why(true, "failure").contains("has not failed"));
        assert!(why(false, "failure").contains("nothing that this machine wrote"));
        assert_eq!(why(false, "8us"), "the run is over 0.000000800 s before that");
        assert!(Times::parse(b"").unwrap_err().to_string().contains("no times of its output"));
    }

    #[test]
    fn a_run_under_gdb_is_compared_as_far_as_its_stop() {
        let of = |writes: &[(u64, u64, u64)]| Times::parse(&file(writes)).unwrap();
        let recorded = of(&[(1, 8, 10), (1, 8, 20), (1, 8, 30)]);
        let same = |writes: &[(u64, u64, u64)]| recorded.same_until(20, &of(writes));
        // What comes after the stop is another run.
        assert_eq!(same(&[(1, 8, 10), (1, 8, 20), (2, 0, 20), (1, 8, 31)]), Same::Yes);
        assert_eq!(same(&[(1, 8, 10), (1, 8, 20)]), Same::Ended);
        assert_eq!(same(&[(1, 8, 10)]), Same::Ended);
        assert_eq!(same(&[(1, 8, 10), (2, 0, 20)]), Same::Strayed);
        assert_eq!(same(&[(1, 8, 11), (1, 8, 20), (2, 0, 20)]), Same::Strayed);
        assert_eq!(same(&[(1, 8, 10), (1, 8, 18), (1, 8, 20), (2, 0, 20)]), Same::Strayed);
        assert_eq!(recorded.same_until(20, &Times::default()), Same::Ended);
    }

    proptest! {
        /// A byte was written by the first write that goes beyond it.
        #[test]
        fn every_byte_has_the_time_of_its_write(writes in proptest::collection::vec((0u64..2, 1u64..9, 0u64..99), 1..40)) {
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

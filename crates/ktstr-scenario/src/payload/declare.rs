//! A program as a test declares it.

use crate::ctx::Ctx;
use std::time::Duration;

/// How long a program without a timeout of its own may run past the test's duration.
const PAST_DURATION: Duration = Duration::from_secs(5);

/// A program as a test declares it, by hand or with `#[derive(Payload)]`.
///
/// `payload = …` and `workloads = […]` of a test pack it into the guest with its libraries and run it; a body that runs one
/// itself names its program in `extra_include_files`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Payload {
    /// Its name in messages, and before a `.` in the names of its metrics.
    pub name: &'static str,
    /// A program on the host's PATH, or an absolute path.
    pub binary: &'static str,
    /// The Debian package that brings the program, for the message when it is missing.
    pub package: Option<&'static str>,
    /// Its arguments; `{cpus}` and `{duration_s}` stand for the machine's CPUs and the test's duration.
    pub args: &'static [&'static str],
    /// The cgroup it runs in when nobody says another, one name below the workload's root; made and removed with it.
    pub cgroup: Option<&'static str>,
    /// How it says what came of it.
    pub output: PayloadOutput,
    /// Figures in its output, and their bounds.
    pub metrics: &'static [PayloadMetric],
    /// Seconds after which it is killed and has failed; by default the test's duration and 5 s more.
    pub timeout_s: Option<u64>,
    /// Host files it needs in the guest, at the same absolute paths.
    pub files: &'static [&'static str],
}

/// How a program says what came of it, beside its exit status, which must be 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadOutput {
    /// It says nothing more.
    ExitCode,
    /// Its standard output is one JSON value.
    Json,
    /// Its standard output is text with figures in it.
    Text,
}

/// One figure in a program's output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PayloadMetric {
    /// Its name, after the payload's.
    pub name: &'static str,
    /// Where it stands: a JSON pointer (RFC 6901) as `/jobs/0/read/iops`, or the words of a text right before it.
    pub at: &'static str,
    /// Whether the program may leave it out.
    pub optional: bool,
    /// Above it, the test fails.
    pub at_most: Option<f64>,
    /// Below it, the test fails.
    pub at_least: Option<f64>,
}

impl PayloadMetric {
    /// The value every declaration starts from.
    pub const DEFAULT: Self = Self { name: "", at: "", optional: false, at_most: None, at_least: None };

    pub(super) const fn is_bounded(&self) -> bool {
        self.at_most.is_some() || self.at_least.is_some()
    }
}

impl Payload {
    /// The value every declaration starts from.
    pub const DEFAULT: Self = Self {
        name: "",
        binary: "",
        package: None,
        args: &[],
        cgroup: None,
        output: PayloadOutput::ExitCode,
        metrics: &[],
        timeout_s: None,
        files: &[],
    };

    /// Checks what can be known before it runs; the compiler does so for a derived one and for those that a test names.
    ///
    /// # Errors
    /// The rule that is broken, and what to do.
    pub const fn check(&self) -> Result<(), &'static str> {
        if self.name.is_empty() || self.binary.is_empty() {
            return Err("ktstr: a payload needs a name and a binary");
        }
        if !is_component(self.name) || matches!(self.cgroup, Some(cgroup) if !is_component(cgroup)) {
            return Err("ktstr: name and cgroup of a payload are one word each: no `/`, no blank, no `.` in front");
        }
        if has(self.binary, b'/') && self.binary.as_bytes()[0] != b'/' {
            return Err("ktstr: the binary of a payload is a name on the PATH or an absolute path");
        }
        if matches!(self.timeout_s, Some(0)) {
            return Err("ktstr: the timeout of a payload must be above zero");
        }
        if !self.metrics.is_empty() && matches!(self.output, PayloadOutput::ExitCode) {
            return Err("ktstr: a payload with metrics needs an output to find them in: `json` or `text`");
        }
        let mut i = 0;
        while i < self.metrics.len() {
            let metric = &self.metrics[i];
            if metric.name.is_empty() || metric.at.is_empty() {
                return Err("ktstr: a metric of a payload needs a name and a place in the output");
            }
            if matches!(self.output, PayloadOutput::Json) && metric.at.as_bytes()[0] != b'/' {
                return Err(
                    "ktstr: the place of a metric in JSON is a pointer that begins with `/`: `/jobs/0/read/iops`",
                );
            }
            let (low, high) = (or(metric.at_least, f64::MIN), or(metric.at_most, f64::MAX));
            if !low.is_finite() || !high.is_finite() || low > high {
                return Err("ktstr: the bounds of a metric must be finite, and at_least not above at_most");
            }
            i += 1;
        }
        Ok(())
    }

    pub(super) fn timeout(&self, ctx: &Ctx) -> Duration {
        self.timeout_s.map_or(ctx.duration() + PAST_DURATION, Duration::from_secs)
    }

    pub(super) fn args_on(&self, ctx: &Ctx) -> Vec<String> {
        let cpus = ctx.topology().total_cpus().to_string();
        // Programs count in whole seconds, and most take 0 for "without end".
        let duration_s = ctx.duration().as_secs().max(1).to_string();
        let fill = |arg: &&str| arg.replace("{cpus}", &cpus).replace("{duration_s}", &duration_s);
        self.args.iter().map(fill).collect()
    }
}

const fn or(bound: Option<f64>, otherwise: f64) -> f64 {
    match bound {
        Some(bound) => bound,
        None => otherwise,
    }
}

const fn has(text: &str, byte: u8) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

const fn is_component(name: &str) -> bool {
    !name.is_empty() && name.as_bytes()[0] != b'.' && !has(name, b'/') && !has(name, b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Payload = Payload {
        name: "fio",
        binary: "fio",
        output: PayloadOutput::Json,
        metrics: &[PayloadMetric { name: "iops", at: "/iops", at_least: Some(1.0), ..PayloadMetric::DEFAULT }],
        ..Payload::DEFAULT
    };

    const fn with(metric: PayloadMetric) -> PayloadMetric {
        PayloadMetric { name: "iops", at: if metric.at.is_empty() { "/iops" } else { metric.at }, ..metric }
    }

    #[test]
    fn each_rule_that_is_broken_is_named() {
        const AT: &[PayloadMetric] = &[with(PayloadMetric { at: "iops", ..PayloadMetric::DEFAULT })];
        const NAN: &[PayloadMetric] = &[with(PayloadMetric { at_most: Some(f64::NAN), ..PayloadMetric::DEFAULT })];
        const INVERTED: &[PayloadMetric] =
            &[with(PayloadMetric { at_most: Some(1.0), at_least: Some(2.0), ..PayloadMetric::DEFAULT })];
        const NAMELESS: &[PayloadMetric] = &[PayloadMetric { at: "/a", ..PayloadMetric::DEFAULT }];
        assert_eq!(GOOD.check(), Ok(()));
        let broken = [
            (Payload { name: "", ..GOOD }, "needs a name"),
            (Payload { binary: "", ..GOOD }, "needs a name and a binary"),
            (Payload { name: "a/b", ..GOOD }, "one word"),
            (Payload { cgroup: Some(".."), ..GOOD }, "one word"),
            (Payload { binary: "bin/fio", ..GOOD }, "absolute path"),
            (Payload { timeout_s: Some(0), ..GOOD }, "above zero"),
            (Payload { output: PayloadOutput::ExitCode, ..GOOD }, "needs an output"),
            (Payload { metrics: AT, ..GOOD }, "begins with `/`"),
            (Payload { metrics: NAN, ..GOOD }, "finite"),
            (Payload { metrics: INVERTED, ..GOOD }, "not above"),
            (Payload { metrics: NAMELESS, ..GOOD }, "a name and a place"),
        ];
        for (payload, words) in broken {
            assert!(payload.check().unwrap_err().contains(words), "{payload:?}");
        }
    }
}

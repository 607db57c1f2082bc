//! What a program's end and its words amount to.

use super::declare::{Payload, PayloadMetric};
use super::figures::{Figure, figures};
use ktstr_verdict::{AssertResult, CheckKind, Detail, Outcome};
use std::time::Duration;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal that was not ours.
    Signaled(i32),
    /// It ran past its timeout and was killed.
    TimedOut(Duration),
    /// It ran until it was no longer wanted.
    Stopped,
}

/// What it had written by then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// There was more of it than is kept.
    pub cut: bool,
    /// The last lines of standard error.
    pub stderr: String,
}

/// Judges a run: a bad end fails, whatever was said; a good one is judged by its figures.
pub fn judge(payload: &Payload, end: End, words: &Words, ran: Duration) -> AssertResult {
    let bad = match end {
        End::Exited(0) | End::Stopped => None,
        End::Exited(status) => Some(format!("exited with status {status}")),
        End::Signaled(signal) => Some(format!("was killed by signal {signal}")),
        End::TimedOut(limit) => Some(format!("did not end within its timeout of {} s and was killed", limit.as_secs())),
    };
    let mut result = match bad {
        Some(why) => fail(payload, &why, &words.stderr),
        None => figures_of(payload, end, words),
    };
    result.metrics.insert(format!("{}.wall_s", payload.name), ran.as_secs_f64());
    result
}

fn figures_of(payload: &Payload, end: End, words: &Words) -> AssertResult {
    let cut = words.cut && !payload.metrics.is_empty();
    let found = if cut {
        Err(format!("its standard output is longer than the {} bytes that are kept", words.stdout.len()))
    } else {
        figures(payload, &words.stdout)
    };
    match found {
        Ok(found) => {
            let mut result = AssertResult::pass();
            for (metric, figure) in payload.metrics.iter().zip(found) {
                if let Figure::Number(value) = figure {
                    result.metrics.insert(format!("{}.{}", payload.name, metric.name), value);
                }
                let complete = end != End::Stopped;
                result.outcomes.extend(judge_figure(payload, metric, &figure, complete, &words.stderr));
            }
            result
        }
        // A program that was ended in the middle may not have said anything yet; it was asked for its end, not its words.
        Err(_) if end == End::Stopped && payload.metrics.iter().all(|m| !m.is_bounded()) => AssertResult::pass(),
        Err(why) if end == End::Stopped => {
            inconclusive(payload, &format!("was ended before it had said its figures: {why}"))
        }
        Err(why) => fail(payload, &why, &words.stderr),
    }
}

/// `complete`: it had the time to say all it has to say.
fn judge_figure(
    payload: &Payload,
    metric: &PayloadMetric,
    figure: &Figure,
    complete: bool,
    stderr: &str,
) -> Vec<Outcome> {
    let name = metric.name;
    let bounded = metric.is_bounded();
    match figure {
        Figure::Number(value) => bounds(payload, metric, *value),
        Figure::Missing if !complete && !bounded => Vec::new(),
        Figure::Missing if !complete => {
            inconclusive(payload, &format!("was ended before it had said `{name}`")).outcomes
        }
        Figure::Missing if !metric.optional => {
            fail(payload, &format!("metric `{name}` is missing: there is nothing at `{}`", metric.at), stderr).outcomes
        }
        Figure::Missing | Figure::Null if !bounded => Vec::new(),
        Figure::Missing => inconclusive(payload, &format!("its bounded metric `{name}` is missing")).outcomes,
        Figure::Null => inconclusive(payload, &format!("metric `{name}` is null: it was not measured")).outcomes,
        Figure::Odd(text) => {
            fail(payload, &format!("metric `{name}` is not a number: `{text}` at `{}`", metric.at), stderr).outcomes
        }
    }
}

fn bounds(payload: &Payload, metric: &PayloadMetric, value: f64) -> Vec<Outcome> {
    let judge = |holds: bool, limit: String| {
        if holds {
            return Outcome::Pass;
        }
        let message = format!("payload `{}`: `{}` is {value}, its limit is {limit}", payload.name, metric.name);
        Outcome::Fail { detail: Detail::new(CheckKind::Claim, message) }
    };
    let most = metric.at_most.map(|most| judge(value <= most, format!("at most {most}")));
    let least = metric.at_least.map(|least| judge(value >= least, format!("at least {least}")));
    most.into_iter().chain(least).collect()
}

fn fail(payload: &Payload, why: &str, stderr: &str) -> AssertResult {
    let mut message = format!("payload `{}`: {why}", payload.name);
    if !stderr.is_empty() {
        message.push_str("; its last words:\n");
        message.push_str(stderr);
    }
    AssertResult::fail(message)
}

fn inconclusive(payload: &Payload, why: &str) -> AssertResult {
    AssertResult::inconclusive(format!("payload `{}` {why}", payload.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::PayloadOutput;
    use ktstr_verdict::Verdict;
    use proptest::prelude::*;

    fn payload(metrics: Vec<PayloadMetric>) -> Payload {
        Payload { name: "p", binary: "p", output: PayloadOutput::Json, metrics: metrics.leak(), ..Payload::DEFAULT }
    }

    fn metric(at_most: Option<f64>, at_least: Option<f64>, optional: bool) -> PayloadMetric {
        PayloadMetric { name: "m", at: "/m", at_most, at_least, optional }
    }

    fn judged(metric: PayloadMetric, end: End, stdout: &str) -> AssertResult {
        let words = Words { stdout: stdout.into(), stderr: "  the reason".into(), ..Words::default() };
        judge(&payload(vec![metric]), end, &words, Duration::from_millis(1500))
    }

    #[test]
    fn a_bad_end_fails_with_the_last_words_whatever_the_figures_say() {
        for (end, why) in [
            (End::Exited(3), "exited with status 3"),
            (End::Signaled(9), "was killed by signal 9"),
            (End::TimedOut(Duration::from_secs(7)), "did not end within its timeout of 7 s"),
        ] {
            let result = judged(metric(None, None, false), end, "{\"m\": 1}");
            let text = result.texts(Verdict::Fail);
            assert!(result.is_fail() && text.contains(why) && text.contains("the reason"), "{text}");
        }
    }

    #[test]
    fn a_broken_bound_says_the_value_and_the_limit() {
        let result = judged(metric(Some(5.0), None, false), End::Exited(0), "{\"m\": 9.25}");
        assert_eq!(result.texts(Verdict::Fail), "payload `p`: `m` is 9.25, its limit is at most 5");
        assert_eq!((result.metrics["p.m"], result.metrics["p.wall_s"]), (9.25, 1.5));
    }

    #[test]
    fn a_program_that_was_ended_is_not_blamed_for_what_it_had_not_said() {
        let verdict = |m, stdout| judged(m, End::Stopped, stdout).fold();
        assert_eq!(verdict(metric(None, None, false), ""), Verdict::Pass);
        assert_eq!(verdict(metric(Some(1.0), None, false), ""), Verdict::Inconclusive);
        assert_eq!(verdict(metric(Some(1.0), None, false), "{\"m\": 2}"), Verdict::Fail);
        assert_eq!(verdict(metric(Some(1.0), None, false), "{\"m\": 1}"), Verdict::Pass);
    }

    #[test]
    fn output_that_was_cut_is_no_ground_for_a_pass() {
        let words = Words { stdout: b"{\"m\": 1}".to_vec(), cut: true, ..Words::default() };
        let result = judge(&payload(vec![metric(None, None, false)]), End::Exited(0), &words, Duration::ZERO);
        assert!(result.texts(Verdict::Fail).contains("longer than the 8 bytes that are kept"));
    }

    /// 'n'umber, nu'l'l, 'm'issing, 'o'dd, 'b'roken JSON; the table is the documentation's.
    fn table(kind: char, value: f64, m: &PayloadMetric, stopped: bool) -> Verdict {
        let bounded = m.at_most.is_some() || m.at_least.is_some();
        match kind {
            'n' if m.at_most.is_some_and(|b| value > b) || m.at_least.is_some_and(|b| value < b) => Verdict::Fail,
            'l' if bounded => Verdict::Inconclusive,
            'm' | 'b' if stopped && bounded => Verdict::Inconclusive,
            'm' if m.optional && bounded => Verdict::Inconclusive,
            'm' if !m.optional && !stopped => Verdict::Fail,
            'b' if !stopped => Verdict::Fail,
            'o' => Verdict::Fail,
            _ => Verdict::Pass,
        }
    }

    proptest! {
        #[test]
        fn every_figure_under_every_bound_is_judged_as_the_table_says(
            kind in prop::sample::select(vec!['n', 'l', 'm', 'o', 'b']), value in -4i32..4, optional: bool, stopped: bool,
            at_most in prop::option::of(-4i32..4), at_least in prop::option::of(-4i32..4),
        ) {
            let value = f64::from(value);
            let stdout = match kind {
                'n' => format!("{{\"m\": {value}}}"),
                'l' => "{\"m\": null}".to_owned(),
                'm' => "{}".to_owned(),
                'o' => "{\"m\": \"1\"}".to_owned(),
                _ => "{\"m\": ".to_owned(),
            };
            let m = metric(at_most.map(f64::from), at_least.map(f64::from), optional);
            let end = if stopped { End::Stopped } else { End::Exited(0) };
            prop_assert_eq!(judged(m, end, &stdout).fold(), table(kind, value, &m, stopped));
        }
    }
}

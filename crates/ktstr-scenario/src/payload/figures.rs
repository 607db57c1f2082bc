//! Figures in what a program wrote.

use super::declare::{Payload, PayloadOutput};
use serde_json::Value;

/// What stands where a metric should.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// A finite number.
    Number(f64),
    /// `null`: the program could not measure it.
    Null,
    /// Nothing.
    Missing,
    /// Something else.
    Odd(String),
}

/// One figure for each declared metric, in their order.
///
/// # Errors
/// Output that is not what the payload declares.
pub fn figures(payload: &Payload, stdout: &[u8]) -> Result<Vec<Figure>, String> {
    match payload.output {
        PayloadOutput::ExitCode => Ok(Vec::new()),
        PayloadOutput::Json => {
            let value: Value = serde_json::from_slice(stdout).map_err(|e| {
                format!("its standard output is not one JSON value: {e}; it begins with `{}`", beginning(stdout))
            })?;
            Ok(payload.metrics.iter().map(|m| value.pointer(m.at).map_or(Figure::Missing, of_json)).collect())
        }
        PayloadOutput::Text => {
            let text = String::from_utf8_lossy(stdout);
            Ok(payload.metrics.iter().map(|m| after(&text, m.at)).collect())
        }
    }
}

fn of_json(value: &Value) -> Figure {
    match value {
        Value::Null => Figure::Null,
        Value::Number(number) => {
            number.as_f64().filter(|n| n.is_finite()).map_or_else(|| Figure::Odd(number.to_string()), Figure::Number)
        }
        other => Figure::Odd(other.to_string().chars().take(40).collect()),
    }
}

/// The number right after the first occurrence of `words`, blanks and one `:` or `=` aside.
fn after(text: &str, words: &str) -> Figure {
    let Some((_, rest)) = text.split_once(words) else {
        return Figure::Missing;
    };
    let rest = rest.trim_start();
    let rest = rest.strip_prefix([':', '=']).unwrap_or(rest).trim_start();
    let word = rest.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
    // `0.123s,` is a number and its unit.
    let end = word.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(word.len());
    let number = word[..end].trim_end_matches(['.', 'e', 'E', '+', '-']);
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() => Figure::Number(number),
        _ => Figure::Odd(word.chars().take(40).collect()),
    }
}

fn beginning(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).trim().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::PayloadMetric;
    use proptest::prelude::*;

    fn payload(output: PayloadOutput, at: &'static str) -> Payload {
        let metrics: &'static [PayloadMetric] =
            Box::leak(Box::new([PayloadMetric { name: "m", at, ..PayloadMetric::DEFAULT }]));
        Payload { name: "p", binary: "p", output, metrics, ..Payload::DEFAULT }
    }

    #[test]
    fn a_pointer_finds_its_number_and_nothing_else_passes_for_one() {
        let json = br#"{"jobs": [{"iops": 41.5, "p99": null, "unit": "ms"}], "a/b": 2}"#;
        let find = |at| figures(&payload(PayloadOutput::Json, at), json).unwrap().remove(0);
        assert_eq!(find("/jobs/0/iops"), Figure::Number(41.5));
        assert_eq!(find("/a~1b"), Figure::Number(2.0));
        assert_eq!(find("/jobs/0/p99"), Figure::Null);
        assert_eq!(find("/jobs/1/iops"), Figure::Missing);
        assert_eq!(find("/jobs/0/unit"), Figure::Odd("\"ms\"".into()));
    }

    #[test]
    fn output_that_is_not_one_json_value_is_refused_with_its_beginning() {
        for bad in ["", "{\"a\": 1", "{} {}", "note\n{}"] {
            let refused = figures(&payload(PayloadOutput::Json, "/a"), bad.as_bytes()).unwrap_err();
            assert!(refused.contains("not one JSON value"), "{refused}");
        }
    }

    #[test]
    fn words_in_a_text_find_the_number_behind_them() {
        let text = b"Running in process mode\nTime: 0.123s, loops = 1e3\nempty:";
        let find = |at| figures(&payload(PayloadOutput::Text, at), text).unwrap().remove(0);
        assert_eq!(find("Time:"), Figure::Number(0.123));
        assert_eq!(find("Time"), Figure::Number(0.123));
        assert_eq!(find("loops"), Figure::Number(1000.0));
        assert_eq!(find("Speed"), Figure::Missing);
        assert_eq!(find("process"), Figure::Odd("mode".into()));
        assert_eq!(find("empty"), Figure::Odd(String::new()));
    }

    proptest! {
        #[test]
        fn any_number_is_found_in_text_and_json(number in -1e9f64..1e9, before in "[a-z ]{0,12}", unit in "[a-df-z%]{0,3}") {
            let text = format!("{before}\nValue: {number}{unit}\n");
            let found = figures(&payload(PayloadOutput::Text, "Value:"), text.as_bytes()).unwrap();
            prop_assert_eq!(found, vec![Figure::Number(number)]);
            let json = serde_json::json!({ "value": number }).to_string();
            let found = figures(&payload(PayloadOutput::Json, "/value"), json.as_bytes()).unwrap();
            // serde_json may be off by the last bit.
            let near = matches!(found[..], [Figure::Number(n)] if (n - number).abs() <= number.abs() * 1e-15);
            prop_assert!(near, "{:?} is not {}", found, number);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = figures(&payload(PayloadOutput::Text, "a"), &bytes);
            let _ = figures(&payload(PayloadOutput::Json, "/a"), &bytes);
        }
    }
}

//! Verifier logs repeat themselves: a loop is walked once for each of its rounds. Repeats are shown once.

/// Rounds from which on a repeated block is collapsed.
const ROUNDS: usize = 3;
/// Longest block that is looked for, lines.
const LONGEST: usize = 64;

/// The lines with every block that comes three times or more in a row shown once; numbers may differ between rounds.
#[must_use]
pub fn collapse(lines: &[String]) -> Vec<String> {
    let shapes: Vec<String> = lines.iter().map(|line| shape(line)).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        match (1..=LONGEST.min((lines.len() - at) / ROUNDS))
            .find_map(|len| rounds(&shapes[at..], len).map(|r| (len, r)))
        {
            Some((len, rounds)) => {
                out.extend_from_slice(&lines[at..at + len]);
                let what = if len == 1 { "line".to_owned() } else { format!("{len} lines") };
                out.push(format!("… the last {what} {} times more, with other numbers at most", rounds - 1));
                at += len * rounds;
            }
            None => {
                out.push(lines[at].clone());
                at += 1;
            }
        }
    }
    out
}

/// How often the first `len` shapes come in a row, when that is often enough.
fn rounds(shapes: &[String], len: usize) -> Option<usize> {
    let block = &shapes[..len];
    let count = shapes.chunks_exact(len).take_while(|chunk| *chunk == block).count();
    (count >= ROUNDS).then_some(count)
}

/// A line without its numbers.
fn shape(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut in_number = false;
    for c in line.chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            out.push(c);
        } else if !in_number {
            out.push('#');
        }
        in_number = digit;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|l| (*l).to_owned()).collect()
    }

    #[test]
    fn a_loop_of_the_verifier_is_shown_once() {
        let mut log = lines(&["0: (b7) r1 = 0"]);
        for round in 0..5 {
            log.push(format!("from 8 to 3: R1={round}"));
            log.push("3: (07) r1 += 1".into());
        }
        log.push("9: (95) exit".into());
        let shown = collapse(&log);
        assert_eq!(shown.len(), 5, "{shown:?}");
        assert!(shown[3].contains("2 lines 4 times more"), "{shown:?}");
    }

    proptest! {
        #[test]
        fn a_log_without_repeats_is_left_alone(words in prop::collection::hash_set("[a-z]{1,6}", 0..20)) {
            let log: Vec<String> = words.into_iter().collect();
            prop_assert_eq!(collapse(&log), log);
        }

        #[test]
        fn the_first_and_the_last_line_never_get_lost(log in prop::collection::vec("[ab][0-9]?", 1..40)) {
            let shown = collapse(&log);
            prop_assert_eq!(&shown[0], &log[0]);
            let last = shown.last().unwrap();
            prop_assert!(last.starts_with('…') || last == log.last().unwrap());
        }
    }
}

//! What records say is hostile input, to a terminal as to a page: here it becomes text that is only read.

/// The characters of a text that a person reads: without a terminal's sequences and control characters, and with a mark where
/// one would turn text around, so that it reads as what it is not. Ends of lines and tabs stay.
pub fn plain(text: &str) -> impl Iterator<Item = char> {
    let mut chars = text.chars();
    std::iter::from_fn(move || {
        loop {
            match chars.next()? {
                '\u{1b}' => skip_sequence(&mut chars),
                c @ ('\n' | '\t') => return Some(c),
                c if c.is_control() => {}
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => return Some('\u{fffd}'),
                c => return Some(c),
            }
        }
    })
}

/// A terminal's sequence, `ESC [ … letter`, is left out as a whole.
fn skip_sequence(chars: &mut std::str::Chars<'_>) {
    let mut ahead = chars.clone();
    if ahead.next() != Some('[') {
        return;
    }
    for c in ahead.by_ref() {
        if !matches!(c, '0'..='9' | ';' | '?') {
            break;
        }
    }
    *chars = ahead;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_coloured_line_is_the_line() {
        let line = "01:08:21 \u{1b}[0m\u{1b}[34m[INFO] \u{1b}[0mNUMA nodes: 2\u{7}\u{202e}";
        assert_eq!(plain(line).collect::<String>(), "01:08:21 [INFO] NUMA nodes: 2\u{fffd}");
    }

    proptest! {
        #[test]
        fn nothing_is_left_that_a_terminal_obeys_and_what_is_plain_stays(text in any::<String>()) {
            let read: String = plain(&text).collect();
            prop_assert!(read.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            prop_assert_eq!(plain(&read).collect::<String>(), read.clone());
        }
    }
}

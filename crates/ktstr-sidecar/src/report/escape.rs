//! What records say is hostile input: here it becomes text and stays text.

use std::fmt;

/// Text of a record, shown as text inside an element or a quoted attribute.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        while let Some(c) = chars.next() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => write!(f, "{c}")?,
                '\u{1b}' => skip_colour(&mut chars),
                c if c.is_control() => {}
                // They turn text around, so that it reads as what it is not.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_str("\u{fffd}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// A terminal's sequence, `ESC [ … letter`, is left out as a whole.
fn skip_colour(chars: &mut std::str::Chars<'_>) {
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

    proptest! {
        #[test]
        fn no_text_ever_opens_an_element_or_leaves_an_attribute(text in ".*") {
            let shown = Text(&text).to_string();
            let bad = ['<', '>', '"', '\'', '\u{1b}', '\0'];
            prop_assert!(!shown.contains(bad));
        }
    }

    #[test]
    fn colours_go_and_the_words_stay() {
        assert_eq!(Text("\u{1b}[1;31mred\u{1b}[0m & \u{1b}").to_string(), "red &amp; ");
        assert_eq!(Text("a\u{202e}b").to_string(), "a\u{fffd}b");
    }
}

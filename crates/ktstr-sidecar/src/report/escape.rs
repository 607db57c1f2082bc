//! What records say is hostile input: here it becomes text and stays text.

use crate::plain::plain;
use std::fmt::{self, Write as _};

/// Text of a record, shown as text inside an element or a quoted attribute.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in plain(self.0) {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
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

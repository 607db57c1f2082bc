//! Debian's control format: blocks of `Name: value`, continuation lines indented, blank lines between.

/// One block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stanza<'a>(&'a str);

impl<'a> Stanza<'a> {
    /// The value of a field, trimmed, with its continuation lines if it has any. Names compare without case.
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        let mut at = 0;
        for line in self.0.split_inclusive('\n') {
            let start = at;
            at += line.len();
            let Some((key, value)) = line.split_once(':') else { continue };
            if !key.eq_ignore_ascii_case(name) {
                continue;
            }
            let rest = &self.0[at..];
            let more: usize = rest.split_inclusive('\n').take_while(|l| l.starts_with([' ', '\t'])).map(str::len).sum();
            let from = start + line.len() - value.len();
            return Some(self.0[from..at + more].trim());
        }
        None
    }
}

/// The blocks of `text`, in order.
pub(super) fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    text.split("\n\n").map(|s| s.trim_matches('\n')).filter(|s| !s.is_empty()).map(Stanza)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_found_with_their_continuation_lines() {
        let text = "A: one\nSHA256:\n 11 2 x\n 22 3 y\nB: two\n\n\nA: other\n";
        let all: Vec<_> = stanzas(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("a"), Some("one"));
        assert_eq!(all[0].get("SHA256"), Some("11 2 x\n 22 3 y"));
        assert_eq!(all[0].get("B"), Some("two"));
        assert_eq!(all[0].get("11 2 x"), None);
        assert_eq!(all[1].get("A"), Some("other"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(fields in prop::collection::btree_map("[A-Z][a-z-]{0,8}", "[a-z0-9+~.-]{1,12}", 1..6)) {
            let text: String = fields.iter().map(|(k, v)| format!("{k}: {v}\n")).collect();
            let stanza = stanzas(&text).next().expect("one");
            for (k, v) in &fields {
                prop_assert_eq!(stanza.get(k), Some(v.as_str()));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n\t\u{e9}:]{0,200}") {
            for stanza in stanzas(&text) {
                let _ = stanza.get("Package");
            }
        }
    }
}

//! The names nextest sees, and how they are read back.

/// Prefix of base tests.
pub const BASE: &str = "ktstr/";
/// Prefix of preset variants.
pub const GAUNTLET: &str = "gauntlet/";
/// Prefix of verifier cells.
pub const VERIFIER: &str = "verifier/";

/// Tests whose name starts so are ignored by default.
pub const DEMO_PREFIX: &str = "demo_";

/// A name with its kernel suffix already peeled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestName<'a> {
    /// `ktstr/{test}`.
    Base(&'a str),
    /// `gauntlet/{test}/{preset}`.
    Gauntlet {
        /// The bare test name.
        test: &'a str,
        /// The preset's name.
        preset: &'a str,
    },
    /// `verifier/…`.
    Verifier(&'a str),
}

impl<'a> TestName<'a> {
    /// Reads a peeled name; `None` when the prefix is not ours.
    #[must_use]
    pub fn parse(name: &'a str) -> Option<Self> {
        if let Some(test) = name.strip_prefix(BASE) {
            Some(Self::Base(test))
        } else if let Some(rest) = name.strip_prefix(GAUNTLET) {
            let (test, preset) = rest.rsplit_once('/').unwrap_or((rest, ""));
            Some(Self::Gauntlet { test, preset })
        } else {
            name.strip_prefix(VERIFIER).map(Self::Verifier)
        }
    }

    /// The bare test name, "" for a verifier cell.
    #[must_use]
    pub fn test(&self) -> &'a str {
        match self {
            Self::Base(test) | Self::Gauntlet { test, .. } => test,
            Self::Verifier(_) => "",
        }
    }
}

/// Whether the harness runs this name itself; everything else is libtest's.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    [BASE, GAUNTLET, VERIFIER].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_gauntlet_name_reads_back_even_when_the_test_holds_a_slash(
            test in "[a-z_/:]{1,20}", preset in "[a-z0-9-]{1,20}",
        ) {
            let name = format!("{GAUNTLET}{test}/{preset}");
            prop_assert_eq!(TestName::parse(&name), Some(TestName::Gauntlet { test: &test, preset: &preset }));
        }
    }

    #[test]
    fn a_plain_test_is_not_ours() {
        assert!(!is_ours("module::plain") && TestName::parse("module::plain").is_none());
        assert!(is_ours("ktstr/a") && is_ours("gauntlet/a/b") && is_ours("verifier/a/b/c"));
    }
}

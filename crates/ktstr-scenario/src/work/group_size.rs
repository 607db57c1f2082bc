//! How many workers a work type wants.

use anyhow::{Result, bail};

/// A rule for the number of workers of one cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSize {
    /// This many or more.
    AtLeast(u32),
    /// A multiple of this, and not none.
    Multiple(u32),
}

impl GroupSize {
    /// Whether `workers` keep the rule.
    pub fn check(self, name: &str, workers: u32) -> Result<()> {
        let (holds, rule, instead) = match self {
            Self::AtLeast(least) => (workers >= least, format!("at least {least}"), least),
            Self::Multiple(of) => {
                let holds = workers > 0 && workers.is_multiple_of(of);
                let rule = if of == 2 { "an even number".to_owned() } else { format!("a multiple of {of}") };
                (holds, rule, workers.max(1).checked_next_multiple_of(of).unwrap_or(of))
            }
        };
        if holds {
            return Ok(());
        }
        bail!("{name} was given {workers} workers and wants {rule}: {instead}, for example")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_refused_number_comes_with_one_that_is_accepted(workers in 0u32..500, size in 1u32..40, multiple: bool) {
            let rule = if multiple { GroupSize::Multiple(size) } else { GroupSize::AtLeast(size) };
            let holds = if multiple { workers >= size && workers % size == 0 } else { workers >= size };
            match rule.check("X", workers) {
                Ok(()) => prop_assert!(holds),
                Err(e) => {
                    prop_assert!(!holds);
                    let text = e.to_string();
                    let instead = text.rsplit(": ").next().and_then(|t| t.split(',').next()).unwrap().parse().unwrap();
                    let begin = format!("X was given {workers} workers");
                    prop_assert!(text.starts_with(&begin) && rule.check("X", instead).is_ok(), "{}", text);
                }
            }
        }
    }
}

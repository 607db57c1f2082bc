//! The grammar `NnNlNcNt`.

use crate::topology::{Topology, TopologyError};
use std::fmt;
use std::str::FromStr;

impl FromStr for Topology {
    type Err = TopologyError;

    fn from_str(text: &str) -> Result<Self, TopologyError> {
        let mut rest = text;
        let mut part = |unit: char, name: &'static str| {
            let grammar = || TopologyError::Grammar(text.to_owned());
            let (digits, tail) = rest.split_once(unit).ok_or_else(grammar)?;
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(grammar());
            }
            rest = tail;
            digits.parse::<u32>().map_err(|_| TopologyError::TooLarge(name))
        };
        let numa_nodes = part('n', "numa_nodes")?;
        let llcs = part('l', "llcs")?;
        let cores = part('c', "cores")?;
        let threads = part('t', "threads")?;
        if !rest.is_empty() {
            return Err(TopologyError::Grammar(text.to_owned()));
        }
        Self::new(numa_nodes, llcs, cores, threads)
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { numa_nodes, llcs, cores_per_llc, threads_per_core, .. } = self;
        f.pad(&format!("{numa_nodes}n{llcs}l{cores_per_llc}c{threads_per_core}t"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_displayed_parses_back(n in 1u32..5, per_node in 1u32..5, c in 1u32..40, t in 1u32..5) {
            let shape = Topology::new(n, n * per_node, c, t).unwrap();
            prop_assert_eq!(shape.to_string().parse::<Topology>().unwrap(), shape);
        }

        #[test]
        fn no_text_panics_the_parser(text in "\\PC*") {
            let _ = text.parse::<Topology>();
        }
    }

    #[test]
    fn each_error_says_what_is_wrong() {
        let error = |text: &str| text.parse::<Topology>().unwrap_err().to_string();
        assert!(error("hello").contains("NnNlNcNt"));
        assert!(error("0n1l1c1t").contains("numa_nodes must be above zero"));
        assert!(error("2n3l4c1t").contains("multiple"));
        assert!(error("1n65536l65536c1t").contains("32 bits"));
    }
}

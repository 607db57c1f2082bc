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
        let mut text = format!("{numa_nodes}n{llcs}l{cores_per_llc}c{threads_per_core}t");
        // What the grammar has no words for; such a text does not parse back, so that nobody takes the one for the other.
        let list = |numbers: Vec<u32>| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join("+");
        if self.has_unequal_llcs() {
            text += &format!("(cores {})", list(self.llc_cores()));
        }
        if let Some(nodes) = self.nodes() {
            text += &format!("(llcs {})", list(nodes.iter().map(|n| n.llcs).collect()));
        }
        if !self.offline.is_empty() {
            text += &format!("(offline {})", list(self.offline.clone()));
        }
        if self.without_l3 {
            text += "(no L3)";
        }
        f.pad(&text)
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
    fn what_is_not_plain_shows_and_does_not_parse() {
        let shape = Topology::new(1, 2, 4, 1).unwrap().with_llc_cores(vec![2, 4]).unwrap();
        assert_eq!(shape.to_string(), "1n2l4c1t(cores 2+4)");
        assert!(shape.to_string().parse::<Topology>().is_err());
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

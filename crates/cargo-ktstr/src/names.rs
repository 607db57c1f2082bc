//! What nextest calls a run, from its record; and filters that mean exactly some runs.

use ktstr_kernel::sanitize_kernel_label;
use ktstr_sidecar::SidecarRecord;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One test as nextest knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TestId {
    /// nextest's name for its binary; "" for whichever has it.
    pub binary: String,
    /// Its name there.
    pub name: String,
}

impl TestId {
    /// The harness runs it and leaves a record; everything else is libtest's.
    pub fn leaves_a_record(&self) -> bool {
        self.name.starts_with("ktstr/") || self.name.starts_with("gauntlet/")
    }
}

/// The name without a kernel.
pub fn base(record: &SidecarRecord) -> String {
    match &record.preset {
        Some(preset) => format!("gauntlet/{}/{preset}", record.test_name),
        None => format!("ktstr/{}", record.test_name),
    }
}

/// The test that the record is of; among `several_kernels` a name ends in its own.
pub fn test_of(record: &SidecarRecord, several_kernels: bool) -> TestId {
    let name = match &record.kernel_label {
        Some(label) if several_kernels => format!("{}/{}", base(record), sanitize_kernel_label(label)),
        _ => base(record),
    };
    TestId { binary: record.binary.clone().unwrap_or_default(), name }
}

/// Exactly these tests, in nextest's filter language.
pub fn filter(tests: &BTreeSet<TestId>) -> String {
    let mut of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for test in tests {
        of.entry(&test.binary).or_default().push(format!("test(={})", escaped(&test.name)));
    }
    let one = |(binary, tests): (&str, Vec<String>)| match binary {
        "" => tests.join(" + "),
        id => format!("(binary_id(={}) & ({}))", escaped(id), tests.join(" + ")),
    };
    of.into_iter().map(one).collect::<Vec<_>>().join(" + ")
}

/// `)`, `,` and `\` mean something there.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ')' | ',' | '(') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_means_these_tests_and_no_other_binary_s() {
        let test = |binary: &str, name: &str| TestId { binary: binary.into(), name: name.into() };
        let tests = BTreeSet::from([test("p::t", "ktstr/a"), test("p::t", "ktstr/odd(,)"), test("q", "ktstr/a")]);
        assert_eq!(
            filter(&tests),
            r"(binary_id(=p::t) & (test(=ktstr/a) + test(=ktstr/odd\(\,\)))) + (binary_id(=q) & (test(=ktstr/a)))"
        );
        assert_eq!(filter(&BTreeSet::from([test("", "ktstr/a")])), "test(=ktstr/a)");
    }
}

//! Lists of CPUs and nodes as sysfs, procfs and cgroups have them.

/// Most numbers of one range: more than any kernel has CPUs (`NR_CPUS` is at most 8192 on x86).
const MOST: u32 = 1 << 16;

/// Reads `0-2,5`, and the empty list; `None` for anything else (kernel: lib/bitmap-str.c, `bitmap_parselist`).
#[must_use]
pub fn parse_cpu_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    let text = text.trim();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (number(first)?, number(last)?);
        if last < first || last - first >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// Digits alone; a sign is no part of a CPU's number.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Writes `0,1,2,5`, which the kernel reads.
#[must_use]
pub fn cpu_list(cpus: &[u32]) -> String {
    cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(cpus in proptest::collection::vec(any::<u32>(), 0..40)) {
            prop_assert_eq!(parse_cpu_list(&cpu_list(&cpus)), Some(cpus));
        }

        #[test]
        fn no_text_is_read_as_more_than_it_says(text in "[0-9,+ -]{0,12}") {
            if let Some(cpus) = parse_cpu_list(&text) {
                prop_assert!(cpus.is_empty() == text.trim().is_empty());
                prop_assert!(!text.contains('+'));
            }
        }
    }

    #[test]
    fn lists_are_read_as_the_kernel_writes_them_and_nothing_else_is() {
        assert_eq!(parse_cpu_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cpu_list("\n"), Some(vec![]));
        for bad in ["a", "1-", "-1", "1,,2", "1,", "2-1", "+1", "0-4294967295", "4294967296", "1 2", "0-3:1/2"] {
            assert_eq!(parse_cpu_list(bad), None, "{bad}");
        }
    }
}

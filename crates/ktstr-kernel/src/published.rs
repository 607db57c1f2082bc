//! The schedulers that are published as programs.

/// Their packages, which are their programs' names too.
pub const PUBLISHED: [&str; 12] = [
    "scx_beerland",
    "scx_bpfland",
    "scx_chaos",
    "scx_cosmos",
    "scx_flash",
    "scx_lavd",
    "scx_layered",
    "scx_p2dq",
    "scx_rlfifo",
    "scx_rustland",
    "scx_rusty",
    "scx_tickless",
];

/// Changes of one letter after which a name is no slip of the hand any more.
const SLIPS: usize = 2;

/// The published name that was probably meant.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_").trim_start_matches("scx_").to_owned();
    let wanted = plain(name);
    let distances = PUBLISHED.iter().map(|known| (distance(&plain(known), &wanted), *known));
    distances.min().filter(|(distance, _)| *distance <= SLIPS).map(|(_, known)| known)
}

/// Letters to insert, drop or change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_something_else_is_not() {
        for (said, meant) in [
            ("bpfland", "scx_bpfland"),
            ("scx-bpfland", "scx_bpfland"),
            ("scx_bpflnd", "scx_bpfland"),
            ("SCX_Lavd", "scx_lavd"),
            ("rusti", "scx_rusty"),
        ] {
            assert_eq!(nearest(said), Some(meant), "{said}");
        }
        assert_eq!(nearest("completely_else"), None);
        assert!(PUBLISHED.iter().all(|known| nearest(known) == Some(*known)));
    }
}

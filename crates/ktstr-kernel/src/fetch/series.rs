//! Debian's releases in order, from the distro-info-data package.

/// One row of `debian.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// The name of its suite on a mirror.
    pub(super) codename: String,
    /// The day its suite appeared, `YYYY-MM-DD`.
    created: String,
    /// The day of its release; empty before it has one.
    released: String,
}

/// Reads `debian.csv`; the header names the columns, and rows that lack one are left out.
pub(super) fn parse_series(csv: &str) -> Vec<Series> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| header.iter().position(|h| *h == name);
    let (Some(codename), Some(created), Some(released)) = (column("series"), column("created"), column("release"))
    else {
        return Vec::new();
    };
    lines
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            Some(Series {
                codename: cells.get(codename).filter(|c| !c.is_empty())?.to_string(),
                created: cells.get(created)?.to_string(),
                released: cells.get(released).copied().unwrap_or_default().to_owned(),
            })
        })
        .collect()
}

/// The suites to look at, in order of preference: the machine's own, its backports, then each newer one with its own.
///
/// `today` is `YYYY-MM-DD`, which compares like a date. Suites that do not exist yet are left out, and backports of a
/// suite that is not released yet.
pub(super) fn suites(series: &[Series], own: &str, today: &str) -> Vec<String> {
    let Some(at) = series.iter().position(|s| s.codename == own) else {
        return vec![own.to_owned(), format!("{own}-backports")];
    };
    let mut suites = Vec::new();
    for s in series[at..].iter().filter(|s| s.created.as_str() <= today) {
        suites.push(s.codename.clone());
        if !s.released.is_empty() && s.released.as_str() <= today {
            suites.push(format!("{}-backports", s.codename));
        }
    }
    suites
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CSV: &str = "version,codename,series,created,release,eol,eol-lts,eol-elts
12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30,2033-06-30
13,Trixie,trixie,2023-06-10,2025-08-09,2028-08-09,2030-06-30,2035-06-30
14,Forky,forky,2025-08-09
15,Duke,duke,2027-08-01
,Sid,sid,1993-08-16
,Experimental,experimental,1993-08-16
";

    #[test]
    fn own_comes_first_then_newer_ones_each_with_its_backports() {
        let series = parse_series(CSV);
        let found = suites(&series, "bookworm", "2026-11-23");
        let wanted = ["bookworm", "bookworm-backports", "trixie", "trixie-backports", "forky", "sid", "experimental"];
        assert_eq!(found, wanted);
        assert_eq!(suites(&series, "trixie", "2026-11-23")[0], "trixie");
        assert_eq!(suites(&series, "sid", "2026-11-23"), ["sid", "experimental"]);
    }

    #[test]
    fn an_unknown_release_has_itself_and_its_backports() {
        assert_eq!(suites(&parse_series(CSV), "zurg", "2026-11-23"), ["zurg", "zurg-backports"]);
        assert!(parse_series("no,such,columns\n1,2,3\n").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n]{0,200}") {
            let _ = suites(&parse_series(&text), "sid", "2026-01-01");
        }
    }
}

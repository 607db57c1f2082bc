//! A second reading of the page: every number in its map and tables, worked out again from the records that it names.

use ktstr_sidecar::{Series, SidecarRecord, number};
use ktstr_verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is between two words, and what comes after.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(from)?.1.split_once(to)
}

/// Every stretch between two words.
fn each<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    let (mut rest, mut found) = (text, Vec::new());
    while let Some((one, after)) = between(rest, from, to) {
        found.push(one);
        rest = after;
    }
    found
}

fn cells(row: &str) -> Vec<String> {
    let plain = |cell: &str| {
        let mut out = String::new();
        let mut inside = false;
        for c in cell.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c if !inside => out.push(c),
                _ => {}
            }
        }
        out
    };
    row.split("<td").skip(1).map(|cell| plain(cell.split_once('>').unwrap().1)).collect()
}

fn word(record: &SidecarRecord) -> &'static str {
    match record.verdict() {
        Verdict::Pass => "passed",
        Verdict::Fail => "failed",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Skip => "skipped",
    }
}

fn p99(record: &SidecarRecord) -> Option<f64> {
    record.cgroups.iter().filter(|c| c.wakes > 0).map(|c| c.p99_wake_us).reduce(f64::max)
}

fn median(values: impl Iterator<Item = f64>, unit: &str) -> String {
    let mut series = Series::default();
    values.for_each(|v| series.push(v));
    series.median().map_or_else(|| "–".to_owned(), |m| number(m, unit))
}

/// Test, scheduler, topology, kernel.
type Row = [String; 4];

/// Panics at the first number that is not its records'. The answer is how many records were named.
pub fn trace(page: &str, root: &Path) -> usize {
    let mut rows: BTreeMap<Row, Vec<SidecarRecord>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    let mut of_cell: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for section in page.split("<section class=\"cell\" id=\"cell-").skip(1) {
        let section = section.split_once("</section>").unwrap().0;
        let id = section.split_once('"').unwrap().0;
        for article in each(section, "<article>", "</article>") {
            let test = between(article, "</span> ", "</h4>").unwrap().0;
            let listed = article.rsplit_once("with their records</summary>").unwrap().1;
            let mut records = Vec::new();
            for row in each(between(listed, "<tbody>", "</tbody>").unwrap().0, "<tr>", "</tr>") {
                let cells = cells(row);
                let [_, verdict, wall, wake, path] = &cells[..] else { panic!("{cells:?}") };
                let file = std::fs::read(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
                let record: SidecarRecord = serde_json::from_slice(&file).unwrap();
                assert!(named.insert(path.clone()), "{path} is named twice");
                assert_eq!(record.test_name, test, "{path}");
                assert!(verdict.ends_with(word(&record)), "{path}: {verdict}");
                assert_eq!(*wall, number(record.wall_ms as f64, "ms"), "{path}");
                assert_eq!(*wake, median(p99(&record).into_iter(), "µs"), "{path}");
                records.push(record);
            }
            let passed = records.iter().filter(|r| r.verdict() == Verdict::Pass).count();
            let ran = records.iter().filter(|r| r.verdict() != Verdict::Skip).count();
            assert!(article.contains(&format!("<p class=\"facts\">{passed} of {ran} passed")), "{test} in cell {id}");
            let sum = of_cell.entry(id).or_default();
            *sum = (sum.0 + passed, sum.1 + ran);
            let first = &records[0];
            let kernel = first.kernel_version.clone().unwrap();
            rows.insert([test.to_owned(), first.scheduler.clone(), first.topology.clone(), kernel], records);
        }
    }
    for (id, (passed, ran)) in &of_cell {
        let cell = between(page, &format!("<a href=\"#cell-{id}\" aria-label="), "</a></td>").unwrap().0;
        let shown = between(cell, "<b>", "</b>").unwrap().0;
        assert!(shown.ends_with(&format!(" {passed}/{ran}")), "cell {id} shows {shown}, its records {passed}/{ran}");
    }
    let tests = between(page, "<table class=\"tests\">", "</table>").unwrap().0;
    let shown = each(between(tests, "<tbody>", "</tbody>").unwrap().0, "<tr>", "</tr>");
    assert_eq!(shown.len(), rows.len());
    for row in shown {
        let test = cells(&format!("<td>{}", between(row, "<th scope=\"row\">", "</th>").unwrap().0)).remove(0);
        let cells = cells(row);
        let [scheduler, topology, kernel, _, passed, _, took, wake] = &cells[..] else { panic!("{cells:?}") };
        let records = &rows[&[test, scheduler.clone(), topology.clone(), kernel.clone()]];
        let good = || records.iter().filter(|r| r.verdict() == Verdict::Pass);
        let ran = records.iter().filter(|r| r.verdict() != Verdict::Skip).count();
        assert_eq!(*passed, format!("{}/{ran}", good().count()));
        assert_eq!(*took, median(good().map(|r| r.wall_ms as f64), "ms"));
        assert_eq!(*wake, median(good().filter_map(p99), "µs"));
    }
    named.len()
}

//! What has run, and what it comes to.

use super::cell::{Cell, Done, Draw};
use anyhow::{Context as _, Result};
use ktstr_kernel::cache::sha256_file;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Runs of this machine, those of earlier sessions included.
pub struct Results {
    file: PathBuf,
    out: File,
    done: Vec<Done>,
}

impl Results {
    /// What lies in a directory; runs of another program, kernel or QEMU are of other machines and do not count.
    pub fn open(dir: &Path, program: &Path, kernel: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
        let file = dir.join("results.jsonl");
        let here =
            [Some(sha256_file(program)?), Some(sha256_file(&kernel.join("vmlinux"))?), ktstr_vmm::qemu_version()];
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        // A line that was cut when somebody ended this is a run that has not been done.
        let read = text.lines().filter_map(|line| serde_json::from_str::<Done>(line).ok());
        let done = read.filter(|d| d.machine == here).collect();
        let out = File::options().create(true).append(true).open(&file);
        let mut out = out.with_context(|| format!("failed to write {}", file.display()))?;
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(out).with_context(|| format!("failed to write {}", file.display()))?;
        }
        Ok(Self { file, out, done })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn has(&self, cell: &Cell, draw: Draw) -> bool {
        self.done.iter().any(|d| d.cell == *cell && d.draw == draw)
    }

    pub fn add(&mut self, done: Done) -> Result<()> {
        writeln!(self.out, "{}", serde_json::to_string(&done)?)
            .with_context(|| format!("failed to write {}", self.file.display()))?;
        self.done.push(done);
        Ok(())
    }

    fn runs<'a>(&'a self, cell: &'a Cell, runs: u32) -> impl Iterator<Item = &'a Done> {
        self.done.iter().filter(move |d| d.cell == *cell && matches!(d.draw, Draw::Own(run) if run < runs))
    }

    /// Whether all runs were made, each has a digest, all of them are one, and another seed's is another.
    pub fn holds(&self, cell: &Cell, runs: u32) -> bool {
        let own: Vec<_> = self.runs(cell, runs).map(|d| d.digest.as_deref()).collect();
        let digests: BTreeSet<_> = own.iter().collect();
        let other = self.done.iter().find(|d| d.cell == *cell && d.draw == Draw::Other);
        let other = other.and_then(|d| d.digest.as_deref());
        own.len() == runs as usize
            && digests.len() == 1
            && own.iter().all(Option::is_some)
            && other.is_some()
            && own.iter().all(|d| *d != other)
    }

    /// `2 of 2 same, PASS`, or what is wrong.
    fn word(&self, cell: &Cell, runs: u32) -> String {
        let done: Vec<&Done> = self.runs(cell, runs).collect();
        let digests: BTreeSet<_> = done.iter().map(|d| &d.digest).collect();
        let verdict = done.first().map_or("-", |d| d.verdict.as_str());
        if self.holds(cell, runs) {
            return format!("{} same, {verdict}", done.len());
        }
        if done.iter().any(|d| d.digest.is_none()) {
            return format!("NO DIGEST, {verdict}");
        }
        match (digests.len(), done.len()) {
            (0 | 1, count) if count < runs as usize => format!("{count} of {runs}"),
            (1, _) => "ANOTHER SEED IS THE SAME".to_owned(),
            (different, count) => format!("{different} DIGESTS IN {count}"),
        }
    }
}

/// One table for each topology in Markdown: tests by schedulers.
pub fn table(cells: &[Cell], results: &Results, runs: u32) -> String {
    let column = |of: fn(&Cell) -> &str| {
        let mut seen: Vec<&str> = Vec::new();
        for cell in cells {
            if !seen.contains(&of(cell)) {
                seen.push(of(cell));
            }
        }
        seen
    };
    let (topologies, schedulers) = (column(|c| &c.topology), column(|c| &c.scheduler));
    let tests = column(|c| &c.test);
    let mut out = String::new();
    for topology in topologies {
        let _ = writeln!(out, "\n| {topology} | {} |", schedulers.join(" | "));
        let _ = writeln!(out, "|---|{}", "---|".repeat(schedulers.len()));
        for test in &tests {
            let words = schedulers.iter().map(|scheduler| {
                let cell =
                    cells.iter().find(|c| c.test == *test && c.scheduler == *scheduler && c.topology == topology);
                cell.map_or_else(|| "-".to_owned(), |cell| results.word(cell, runs))
            });
            let _ = writeln!(out, "| {test} | {} |", words.collect::<Vec<_>>().join(" | "));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> Cell {
        Cell { test: "steady".into(), scheduler: "eevdf".into(), topology: "1n1l2c1t".into() }
    }

    fn done(draw: Draw, digest: &str) -> Done {
        Done {
            cell: cell(),
            draw,
            verdict: "PASS".into(),
            digest: (!digest.is_empty()).then(|| digest.to_owned()),
            seconds: 1.0,
            message: String::new(),
            machine: [None, None, None],
        }
    }

    fn of(runs: &[(Draw, &str)]) -> (bool, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("results.jsonl");
        let out = File::create(&file).unwrap();
        let mut results = Results { file, out, done: Vec::new() };
        for (draw, digest) in runs {
            results.add(done(*draw, digest)).unwrap();
        }
        (results.holds(&cell(), 2), results.word(&cell(), 2))
    }

    #[test]
    fn a_cell_holds_only_when_every_run_was_made_and_has_the_one_digest_and_another_seed_another() {
        use Draw::{Other, Own};
        assert_eq!(of(&[(Own(0), "a"), (Own(1), "a"), (Other, "b")]), (true, "2 same, PASS".into()));
        let bad: [(&[(Draw, &str)], &str); 6] = [
            (&[], "0 of 2"),
            (&[(Own(0), "a"), (Other, "b")], "1 of 2"),
            (&[(Own(0), "a"), (Own(1), "c"), (Other, "b")], "2 DIGESTS IN 2"),
            (&[(Own(0), "a"), (Own(1), ""), (Other, "b")], "NO DIGEST, PASS"),
            (&[(Own(0), "a"), (Own(1), "a"), (Other, "a")], "ANOTHER SEED IS THE SAME"),
            (&[(Own(0), ""), (Own(1), ""), (Other, "a")], "NO DIGEST, PASS"),
        ];
        for (runs, word) in bad {
            assert_eq!(of(runs), (false, word.into()));
        }
    }

    #[test]
    fn what_was_done_is_read_back_and_a_line_that_was_cut_is_not() {
        let line = serde_json::to_string(&done(Draw::Own(3), "a")).unwrap();
        let read: Done = serde_json::from_str(&line).unwrap();
        assert_eq!((read.cell, read.draw), (cell(), Draw::Own(3)));
        assert!(serde_json::from_str::<Done>(&line[..line.len() - 2]).is_err());
    }
}

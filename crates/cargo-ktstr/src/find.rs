//! The workspace's tests: built by cargo, asked for their names, found by what a person calls them.

use crate::cargo::{self, Binary};
use anyhow::{Context as _, Result, bail, ensure};
use ktstr_kernel::Progress;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Prefix of base tests.
const BASE: &str = "ktstr/";
/// Prefix of preset variants.
const GAUNTLET: &str = "gauntlet/";
/// Names that an error lists at most.
const NAMED: usize = 12;

/// Which binaries are asked.
#[derive(clap::Args)]
pub struct Selection {
    /// Take this test binary and build nothing; may be repeated
    #[arg(long = "binary", value_name = "PATH")]
    binaries: Vec<PathBuf>,
    /// For nextest, which builds and lists: `-- -p my-tests --release`
    #[arg(last = true, value_name = "NEXTEST ARGS")]
    passed_on: Vec<String>,
}

/// One test as its binary knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    pub binary: Binary,
    /// `ktstr/NAME` or `gauntlet/NAME/PRESET`.
    pub name: String,
}

impl Selection {
    /// The binaries that link the harness; what cargo has to say goes to standard error.
    pub fn binaries(&self, progress: &dyn Progress) -> Result<Vec<Binary>> {
        if self.binaries.is_empty() {
            progress.step("building the tests");
            return cargo::binaries(&self.passed_on);
        }
        ensure!(self.passed_on.is_empty(), "--binary builds nothing: leave out what is behind `--`");
        let dir = std::env::current_dir().context("there is no working directory")?;
        let one = |path: &PathBuf| {
            let path = path.canonicalize().with_context(|| format!("no test binary {}", path.display()))?;
            Ok(Binary { id: path.display().to_string(), package: String::new(), path, dir: dir.clone() })
        };
        self.binaries.iter().map(one).collect()
    }

    /// The tests with these names; all base tests when none is given.
    pub fn tests(&self, wanted: &[String], progress: &dyn Progress) -> Result<Vec<Test>> {
        refuse_kernel_list()?;
        let mut all = Vec::new();
        for binary in self.binaries(progress)? {
            all.extend(list(&binary)?);
        }
        ensure!(
            !all.is_empty(),
            "no binary has a test of this harness; is `#[ktstr_test]` in a package that was built?"
        );
        let picked = pick(&all, wanted)?;
        // Each has a directory by these two, and none may read another's record.
        let mut places = BTreeSet::new();
        for test in &picked {
            let new = places.insert((test.binary.stem(), &test.name));
            ensure!(
                new,
                "{} is asked for twice, or two binaries `{}` have it; choose with --binary PATH",
                test.name,
                test.binary.stem()
            );
        }
        Ok(picked)
    }

    /// The one test with this name.
    pub fn one(&self, wanted: &str, progress: &dyn Progress) -> Result<Test> {
        let mut found = self.tests(&[wanted.to_owned()], progress)?;
        if let [first, second, ..] = &found[..] {
            bail!(
                "{} and {} both have `{wanted}`; choose one with --binary PATH",
                first.binary.path.display(),
                second.binary.path.display()
            );
        }
        found.pop().with_context(|| format!("no test `{wanted}`"))
    }
}

/// A seed is one run on one kernel.
fn refuse_kernel_list() -> Result<()> {
    let list = std::env::var("KTSTR_KERNEL_LIST").unwrap_or_default();
    let kernels = list.split(';').filter(|k| !k.trim().is_empty()).count();
    ensure!(
        kernels < 2,
        "KTSTR_KERNEL_LIST names {kernels} kernels, and a simulated run is on one: unset it, and set KTSTR_KERNEL"
    );
    Ok(())
}

fn list(binary: &Binary) -> Result<Vec<Test>> {
    let output = Command::new(&binary.path)
        .args(["--list", "--format", "terse"])
        .current_dir(&binary.dir)
        .env("NEXTEST", "1")
        .env("KTSTR_CARGO_TEST_MODE", "1")
        .env_remove("KTSTR_BUDGET_SECS")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", binary.path.display()))?;
    ensure!(
        output.status.success(),
        "{} could not list its tests: {}",
        binary.path.display(),
        String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it said nothing")
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|l| l.strip_suffix(": test")).filter(|n| n.starts_with(BASE));
    Ok(names.map(|name| Test { binary: binary.clone(), name: name.to_owned() }).collect())
}

fn pick(all: &[Test], wanted: &[String]) -> Result<Vec<Test>> {
    if wanted.is_empty() {
        return Ok(all.to_vec());
    }
    let mut picked = Vec::new();
    for name in wanted {
        let base = base_name(name);
        let owners: Vec<&Test> = all.iter().filter(|t| t.name.strip_prefix(BASE) == Some(base)).collect();
        if owners.is_empty() {
            let names: BTreeSet<&str> = all.iter().filter_map(|t| t.name.strip_prefix(BASE)).collect();
            let more = if names.len() > NAMED { ", …" } else { "" };
            let some: Vec<&str> = names.into_iter().take(NAMED).collect();
            bail!("no test `{name}`; there are {}{more}", some.join(", "));
        }
        let full = if name.starts_with(GAUNTLET) { name.clone() } else { format!("{BASE}{base}") };
        picked.extend(owners.into_iter().map(|owner| Test { binary: owner.binary.clone(), name: full.clone() }));
    }
    Ok(picked)
}

/// `a` of `a`, `ktstr/a` and `gauntlet/a/preset`.
pub fn base_name(name: &str) -> &str {
    match name.strip_prefix(GAUNTLET) {
        Some(rest) => rest.rsplit_once('/').map_or(rest, |(test, _)| test),
        None => name.strip_prefix(BASE).unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(binary: &str, name: &str) -> Test {
        let binary = Binary { id: binary.into(), package: String::new(), path: binary.into(), dir: "/".into() };
        Test { binary, name: name.into() }
    }

    fn names(found: &[Test]) -> Vec<&str> {
        found.iter().map(|t| t.name.as_str()).collect()
    }

    #[test]
    fn a_test_is_found_by_each_of_its_names() {
        let all = [test("/x", "ktstr/a"), test("/x", "ktstr/b"), test("/y", "ktstr/b")];
        let pick = |wanted: &[&str]| pick(&all, &wanted.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&pick(&["a"]).unwrap()), ["ktstr/a"]);
        assert_eq!(names(&pick(&["ktstr/a"]).unwrap()), ["ktstr/a"]);
        assert_eq!(names(&pick(&["gauntlet/a/tiny-1llc"]).unwrap()), ["gauntlet/a/tiny-1llc"]);
        assert_eq!(names(&pick(&["b"]).unwrap()), ["ktstr/b", "ktstr/b"], "each binary that has it");
        assert_eq!(pick(&[]).unwrap().len(), 3);
        let error = pick(&["c"]).unwrap_err().to_string();
        assert!(error.contains("no test `c`") && error.contains("a, b"), "{error}");
    }
}

//! The workspace's tests: built by cargo, asked for their names, found by what a person calls them.

use anyhow::{Context as _, Result, bail, ensure};
use ktstr_kernel::Progress;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
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
    /// For `cargo test --no-run`: `-- -p my-tests --release`
    #[arg(last = true, value_name = "CARGO ARGS")]
    cargo_args: Vec<String>,
}

/// A test binary, and the directory its tests run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    pub path: PathBuf,
    pub dir: PathBuf,
}

/// One test as its binary knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    pub binary: Binary,
    /// `ktstr/NAME` or `gauntlet/NAME/PRESET`.
    pub name: String,
}

impl Binary {
    /// Its name, without what cargo adds to tell builds apart.
    pub fn stem(&self) -> &str {
        let name = self.path.file_name().and_then(|n| n.to_str()).unwrap_or("binary");
        match name.rsplit_once('-') {
            Some((stem, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => stem,
            _ => name,
        }
    }
}

impl Selection {
    /// The binaries; what cargo has to say goes to standard error.
    pub fn binaries(&self, progress: &dyn Progress) -> Result<Vec<Binary>> {
        if self.binaries.is_empty() {
            progress.step("building the tests");
            return build(&self.cargo_args);
        }
        ensure!(self.cargo_args.is_empty(), "--binary builds nothing: leave out what is behind `--`");
        let dir = std::env::current_dir().context("there is no working directory")?;
        let one = |path: &PathBuf| {
            let path = path.canonicalize().with_context(|| format!("no test binary {}", path.display()))?;
            Ok(Binary { path, dir: dir.clone() })
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

fn build(args: &[String]) -> Result<Vec<Binary>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    if !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    let output = command
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("failed to start cargo: is it in PATH?")?;
    ensure!(output.status.success(), "`cargo test --no-run` failed; what it said is above");
    Ok(artifacts(&String::from_utf8_lossy(&output.stdout)))
}

/// The test binaries in cargo's messages (cargo: "External tools", JSON messages).
fn artifacts(messages: &str) -> Vec<Binary> {
    let one = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let executable = message.get("executable")?.as_str()?;
        let manifest = Path::new(message.get("manifest_path")?.as_str()?);
        message["profile"]["test"]
            .as_bool()?
            .then(|| Some(Binary { path: executable.into(), dir: manifest.parent()?.to_owned() }))?
    };
    messages.lines().filter_map(one).collect()
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
        Test { binary: Binary { path: binary.into(), dir: "/".into() }, name: name.into() }
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

    #[test]
    fn a_binary_is_called_what_its_target_is() {
        let stem = |path: &str| test(path, "ktstr/a").binary.stem().to_owned();
        assert_eq!(stem("/t/deps/first-0123456789abcdef"), "first");
        assert_eq!((stem("/t/two-words"), stem("/t/fixture")), ("two-words".into(), "fixture".into()));
    }

    #[test]
    fn only_binaries_built_as_tests_are_taken_from_cargo_s_messages() {
        let line = |executable: &str, test: bool| {
            serde_json::json!({"reason": "compiler-artifact", "manifest_path": "/p/Cargo.toml", "executable": executable,
                "profile": {"test": test}})
            .to_string()
        };
        let messages = [line("/t/deps/a-1", true), line("/t/b", false), r#"{"reason":"build-finished"}"#.into()];
        let found = artifacts(&messages.join("\n"));
        assert_eq!(found, [Binary { path: "/t/deps/a-1".into(), dir: "/p".into() }]);
    }
}

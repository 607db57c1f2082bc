//! Cargo and nextest, as processes.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// The cargo that called, so that `+toolchain` holds for what it calls.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `cargo nextest`, if it is installed.
///
/// # Errors
/// It is not.
pub fn nextest() -> Result<Command> {
    let home = std::env::var_os("CARGO_HOME").map(|home| PathBuf::from(home).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).chain(home).any(|dir| dir.join("cargo-nextest").is_file());
    if !installed {
        bail!("cargo-nextest is not installed; run `cargo install cargo-nextest --locked`");
    }
    let mut command = cargo();
    command.arg("nextest");
    Ok(command)
}

/// What `cargo metadata` says of the workspace here, or of the manifest that `passed_on` names.
///
/// # Errors
/// No workspace here.
pub fn metadata(passed_on: &[String], with_dependencies: bool) -> Result<Value> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1", "--quiet"]);
    if !with_dependencies {
        command.arg("--no-deps");
    }
    if let Some(manifest) = value_of(passed_on, "--manifest-path") {
        command.args(["--manifest-path", manifest]);
    }
    let output = command.stdin(Stdio::null()).output().context("failed to start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().trim_start_matches("error: ");
        if said.starts_with("could not find `Cargo.toml`") {
            bail!("{said}; go to the project whose tests are meant");
        }
        bail!("{said}");
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata answered something else than JSON")
}

/// The value of `--name VALUE` or `--name=VALUE`.
fn value_of<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix(name) {
        Some("") => args.get(at + 1).map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    })
}

/// Options of `cargo nextest run` that `cargo nextest list` refuses, with a value.
const RUN_ONLY: [&str; 17] = [
    "--test-threads",
    "--retries",
    "--flaky-result",
    "--max-fail",
    "--debugger",
    "--tracer",
    "--no-tests",
    "--stress-count",
    "--stress-duration",
    "--failure-output",
    "--success-output",
    "--status-level",
    "--final-status-level",
    "--show-progress",
    "--max-progress-running",
    "--message-format",
    "--message-format-version",
];
/// The same, without.
const RUN_ONLY_SWITCHES: [&str; 9] = [
    "--no-run",
    "--fail-fast",
    "--ff",
    "--no-fail-fast",
    "--nff",
    "--no-capture",
    "--nocapture",
    "--hide-progress-bar",
    "--no-input-handler",
];

/// What is left of nextest's arguments when tests are only listed: people give those that they run with.
pub fn listing_words(words: &[String]) -> Vec<String> {
    let mut left = Vec::with_capacity(words.len());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        if word == "-j" || RUN_ONLY.contains(&name) && name == word {
            words.next();
        } else if word == "--" {
            // Behind it are filters.
            left.extend(std::iter::once(word).chain(words.by_ref()).cloned());
        } else if !(word.starts_with("-j") || RUN_ONLY.contains(&name) || RUN_ONLY_SWITCHES.contains(&name)) {
            left.push(word.clone());
        }
    }
    left
}

/// Where the harness puts what it makes.
///
/// # Errors
/// No workspace here.
pub fn harness_dir(passed_on: &[String]) -> Result<PathBuf> {
    let target = match value_of(passed_on, "--target-dir") {
        Some(dir) => PathBuf::from(dir),
        None => metadata(passed_on, false)?["target_directory"].as_str().map(PathBuf::from).unwrap_or_default(),
    };
    Ok(target.join("ktstr"))
}

/// Where records and directories of records lie (`KTSTR_SIDECAR_DIR`, `KTSTR_RUNS_ROOT`, else below the target directory).
///
/// # Errors
/// No workspace here, and no variable.
pub fn records_root(passed_on: &[String]) -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    match set("KTSTR_SIDECAR_DIR").or_else(|| set("KTSTR_RUNS_ROOT")) {
        Some(dir) => Ok(dir),
        None => harness_dir(passed_on),
    }
}

/// A child's end as this process's: its code, or 128 and the signal, as shells say it.
pub fn code_of(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// One test binary of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// nextest's name for it.
    pub id: String,
    /// Package it is of.
    pub package: String,
    /// The file.
    pub path: PathBuf,
    /// The directory its tests run in: its package's.
    pub dir: PathBuf,
}

impl Binary {
    /// Its file's name, without what cargo adds to tell builds apart.
    pub fn stem(&self) -> &str {
        let name = self.path.file_name().and_then(|n| n.to_str()).unwrap_or("binary");
        match name.rsplit_once('-') {
            Some((stem, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => stem,
            _ => name,
        }
    }
}

/// Builds and lists the test binaries that link the harness; `words` are for nextest.
///
/// # Errors
/// What cargo says, or that none of them does.
pub fn binaries(words: &[String]) -> Result<Vec<Binary>> {
    let mut found = test_binaries(words, |_| ())?;
    found.retain(|binary| links_the_harness(&binary.path));
    if found.is_empty() {
        bail!("no test binary here uses ktstr: add it to dev-dependencies and write a #[ktstr_test]");
    }
    Ok(found)
}

/// Builds and lists all test binaries.
///
/// # Errors
/// What cargo says.
pub fn test_binaries(words: &[String], change: impl FnOnce(&mut Command)) -> Result<Vec<Binary>> {
    let mut command = nextest()?;
    // First, for its answer outside a workspace is the shorter one.
    let metadata = metadata(words, false)?;
    command.args(["list", "--list-type", "binaries-only", "--message-format", "json", "--cargo-quiet"]);
    command.args(listing_words(words));
    change(&mut command);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("failed to start cargo")?;
    if !output.status.success() {
        bail!("the test binaries could not be built; what cargo said is above");
    }
    let listed: Value = serde_json::from_slice(&output.stdout).context("nextest answered something else than JSON")?;
    Ok(listed_binaries(&listed, &metadata))
}

/// nextest knows the binaries, cargo the packages that they are of.
fn listed_binaries(listed: &Value, metadata: &Value) -> Vec<Binary> {
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().collect();
    let one = |(id, one): (&String, &Value)| {
        let package = packages.iter().find(|p| p["id"] == one["package-id"])?;
        Some(Binary {
            id: id.clone(),
            package: package["name"].as_str()?.to_owned(),
            path: PathBuf::from(one["binary-path"].as_str()?),
            dir: Path::new(package["manifest_path"].as_str()?).parent()?.to_owned(),
        })
    };
    listed["rust-binaries"].as_object().into_iter().flatten().filter_map(one).collect()
}

/// A binary without our section is never asked: it might take the question for an order.
pub fn links_the_harness(path: &Path) -> bool {
    use object::{Object as _, ObjectSection as _};
    let Ok(bytes) = std::fs::read(path) else { return false };
    let Ok(file) = object::File::parse(&*bytes) else { return false };
    file.sections().any(|s| s.name() == Ok("linkme_KTSTR_TESTS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_run_takes_is_not_given_to_a_listing() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let left = listing_words(&words("-p a -j 1 -j4 --retries=2 --no-fail-fast --max-fail 3 -E all() -- -j x"));
        assert_eq!(left, words("-p a -E all() -- -j x"));
    }

    #[test]
    fn a_binary_is_of_the_package_that_cargo_says_whatever_its_id_looks_like() {
        let listed = serde_json::json!({"rust-binaries": {
            "a::t": {"package-id": "path+file:///w/a#0.1.0", "binary-path": "/t/deps/t-0123456789abcdef"},
            "gone::t": {"package-id": "path+file:///w/gone#0.1.0", "binary-path": "/t/deps/gone"}}});
        let metadata = serde_json::json!({"packages": [
            {"id": "path+file:///w/a#0.1.0", "name": "a", "manifest_path": "/w/a/Cargo.toml"}]});
        let found = listed_binaries(&listed, &metadata);
        let path = PathBuf::from("/t/deps/t-0123456789abcdef");
        assert_eq!(found, [Binary { id: "a::t".into(), package: "a".into(), path, dir: "/w/a".into() }]);
    }

    #[test]
    fn a_binary_is_called_what_its_target_is() {
        let stem = |path: &str| {
            let binary = Binary { id: String::new(), package: String::new(), path: path.into(), dir: "/".into() };
            binary.stem().to_owned()
        };
        assert_eq!(stem("/t/deps/first-0123456789abcdef"), "first");
        assert_eq!((stem("/t/two-words"), stem("/t/fixture")), ("two-words".into(), "fixture".into()));
    }

    #[test]
    fn both_spellings_of_a_value_are_read() {
        let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(value_of(&args("-p x --target-dir /t"), "--target-dir"), Some("/t"));
        assert_eq!(value_of(&args("--target-dir=/t -p x"), "--target-dir"), Some("/t"));
        assert_eq!(value_of(&args("--target-directory /t"), "--target-dir"), None);
    }

    #[test]
    fn a_binary_without_our_section_is_never_asked() {
        assert!(!links_the_harness(&std::env::current_exe().unwrap()));
        assert!(!links_the_harness(Path::new("/bin/sh")) && !links_the_harness(Path::new("/nonexistent")));
    }
}

//! Which binary has a test: each is asked, and answers by its exit code (0: mine, 1: not mine, 2: mine, and refused).

use crate::cargo::{Binary, binaries};
use crate::find::base_name;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The answer of the one binary that has the test.
#[derive(Debug)]
pub struct Answer {
    /// That binary.
    pub binary: Binary,
    /// What it wrote to stdout.
    pub text: String,
}

/// Asks every binary `FLAG=TEST`; a name may be given as nextest shows it.
///
/// # Errors
/// No binary has it, several have it, or the one that has it refuses.
pub fn ask(flag: &str, test: &str, package: Option<&str>) -> Result<Answer> {
    match one_of(answers(flag, test, package)?, test)? {
        Owned::Yes(answer) => Ok(answer),
        Owned::Refused(_, said) => bail!("{said}"),
    }
}

/// The one binary that has the test, whatever it would refuse to do with it.
///
/// # Errors
/// No binary has it, or several have it.
pub fn owner(test: &str, package: Option<&str>) -> Result<Binary> {
    match one_of(answers("--ktstr-shell-test", test, package)?, test)? {
        Owned::Yes(Answer { binary, .. }) | Owned::Refused(binary, _) => Ok(binary),
    }
}

fn answers(flag: &str, test: &str, package: Option<&str>) -> Result<Vec<Owned>> {
    let bare = base_name(test);
    let mut answers = Vec::new();
    let words: Vec<String> = package.into_iter().flat_map(|p| ["--package".to_owned(), p.to_owned()]).collect();
    for binary in binaries(&words)? {
        let output = question(&binary.path, &format!("{flag}={bare}"), |_| Ok(()))?;
        answers.extend(take(binary, &output)?);
    }
    Ok(answers)
}

/// The same question to one binary.
///
/// # Errors
/// A binary that cannot be started.
pub fn question(path: &Path, words: &str, change: impl FnOnce(&mut Command) -> Result<()>) -> Result<Output> {
    let mut command = Command::new(path);
    command.arg(words).env_remove("NEXTEST").stdin(Stdio::null());
    change(&mut command)?;
    command.output().with_context(|| format!("failed to start {}", path.display()))
}

enum Owned {
    Yes(Answer),
    Refused(Binary, String),
}

fn take(binary: Binary, output: &Output) -> Result<Option<Owned>> {
    let said = String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("ktstr: ").to_owned();
    match output.status.code() {
        Some(0) => Ok(Some(Owned::Yes(Answer { binary, text: String::from_utf8_lossy(&output.stdout).into_owned() }))),
        Some(1) => Ok(None),
        Some(2) => Ok(Some(Owned::Refused(binary, said))),
        _ => bail!("{} ended with {} when it was asked for a test: {said}", binary.id, output.status),
    }
}

fn one_of(mut answers: Vec<Owned>, test: &str) -> Result<Owned> {
    if answers.len() > 1 {
        let of = |a: &Owned| match a {
            Owned::Yes(Answer { binary, .. }) | Owned::Refused(binary, _) => binary.clone(),
        };
        let [first, second] = [of(&answers[0]), of(&answers[1])];
        bail!(
            "{} and {} both have a test `{test}`: choose by `--package {}` or `--package {}`",
            first.id,
            second.id,
            first.package,
            second.package
        );
    }
    answers.pop().with_context(|| {
        format!("no test binary here has a test `{test}`; `cargo nextest list` shows the names there are")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    fn answer(id: &str, code: i32, stderr: &str) -> Option<Owned> {
        let binary = Binary { id: format!("{id}::t"), package: id.into(), path: "/b".into(), dir: "/".into() };
        let status = std::process::ExitStatus::from_raw(code << 8);
        take(binary, &Output { status, stdout: b"{}".to_vec(), stderr: stderr.into() }).unwrap()
    }

    fn outcome(answers: Vec<Option<Owned>>) -> Result<String, String> {
        match one_of(answers.into_iter().flatten().collect(), "t") {
            Ok(Owned::Yes(answer)) => Ok(answer.binary.id),
            Ok(Owned::Refused(_, said)) => Err(said),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn the_one_binary_that_has_the_test_answers() {
        assert_eq!(outcome(vec![answer("a", 1, ""), answer("b", 0, "")]).unwrap(), "b::t");
    }

    #[test]
    fn a_refusal_is_final_and_its_reason_is_told() {
        assert_eq!(
            outcome(vec![answer("a", 1, ""), answer("b", 2, "ktstr: it is host_only\n")]).unwrap_err(),
            "it is host_only"
        );
    }

    #[test]
    fn two_binaries_with_the_same_test_are_told_apart_by_package() {
        let text = outcome(vec![answer("a", 0, ""), answer("b", 2, "no")]).unwrap_err();
        assert!(text.contains("--package a") && text.contains("--package b"), "{text}");
    }

    #[test]
    fn an_unknown_test_is_answered_with_where_the_names_are() {
        assert!(outcome(vec![answer("a", 1, "")]).unwrap_err().contains("cargo nextest list"));
    }

    #[test]
    fn names_as_nextest_shows_them_are_taken() {
        assert_eq!((base_name("ktstr/a"), base_name("gauntlet/a/tiny"), base_name("a")), ("a", "a", "a"));
    }
}

//! What the command says on a terminal of 80 and of 200 columns, and into a pipe.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Built, ktstr, text};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// Everything that needs no machine and no workspace.
const COMMANDS: [&[&str]; 22] = [
    &["--help"],
    &["test", "--help"],
    &["coverage", "--help"],
    &["replay", "--help"],
    &["affected", "--help"],
    &["verifier", "--help"],
    &["shell", "--help"],
    &["export", "--help"],
    &["shard", "plan", "--help"],
    &["kernel", "fetch", "--help"],
    &["kernel", "build", "--help"],
    &["scheduler", "install", "--help"],
    &["sim", "search", "--help"],
    &["stats", "merge", "--help"],
    &["perf-delta", "--help"],
    &["kernel", "list"],
    &["scheduler", "list"],
    &["stats", "list-metrics", "."],
    &["doctor"],
    &["topo"],
    &["locks"],
    &["cleanup", "--dry-run"],
];

/// A call in an empty directory with an empty cache.
fn call(words: &[&str], dir: &Path) -> Command {
    let mut command = ktstr();
    command.args(words).current_dir(dir).env("KTSTR_CACHE_DIR", dir.join("cache"));
    command
}

/// What a terminal of so many columns is sent.
fn on_terminal(mut command: Command, columns: u16) -> String {
    let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    tcsetwinsize(&ours, Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(name).unwrap();
    command.stdin(Stdio::null()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // Its ends of the terminal: while one is open the terminal has no end.
    drop(command);
    let mut seen = Vec::new();
    let mut screen = File::from(ours);
    let mut buffer = [0; 4096];
    // A terminal that nobody has open any more is an error to read (pty(7)).
    while let Ok(count @ 1..) = screen.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
    }
    child.wait().unwrap();
    text(&seen).replace('\r', "")
}

/// Without the words for colours.
fn visible(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[test]
fn on_a_terminal_no_line_is_broken_but_between_words() {
    for words in COMMANDS {
        for columns in [80, 200] {
            let dir = tempfile::tempdir().unwrap();
            let said = on_terminal(call(words, dir.path()), columns);
            assert!(!said.trim().is_empty(), "{words:?} says nothing");
            for line in said.lines().map(visible) {
                // Paths, examples and clap's line of usage are not broken.
                let whole = line.contains(dir.path().to_str().unwrap())
                    || ["cargo ktstr", "Usage: "].iter().any(|start| line.trim_start().starts_with(start));
                let width = line.chars().count();
                assert!(width <= usize::from(columns) || whole, "{words:?} at {columns}: {width} columns: {line}");
            }
        }
    }
}

#[test]
fn into_a_pipe_and_where_no_colour_is_wanted_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    for words in COMMANDS {
        let piped = call(words, dir.path()).output().unwrap();
        let both = [piped.stdout, piped.stderr].concat();
        assert!(!both.contains(&0x1b), "{words:?}: {}", text(&both));
        let mut plain = call(words, dir.path());
        plain.env("NO_COLOR", "1");
        let said = on_terminal(plain, 80);
        assert!(!said.contains("\u{1b}[3") && !said.contains("\u{1b}[9"), "{words:?}: {said:?}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    for words in [&["--help"][..], &["doctor", "--json"], &["stats", "list-metrics", "."]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = call(words, dir.path()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = text(&output.stderr);
        assert!(!said.contains("panicked"), "{words:?}: {said}");
    }
}

#[test]
fn every_answer_for_machines_is_json_alone_on_standard_output() {
    let built = Built::new(&["fault-tests::bin/fixture"]);
    for words in [
        &["doctor"][..],
        &["topo"],
        &["locks"],
        &["kernel", "list"],
        &["scheduler", "list"],
        &["stats", "list", "."],
        &["stats", "summary", "."],
        &["stats", "list-metrics", "."],
        &["stats", "show-host", "."],
        &["show-thresholds", "passes"],
    ] {
        let output = built.ktstr(words).arg("--json").output().unwrap();
        for line in text(&output.stdout).lines() {
            let value: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(value.is_ok_and(|v| v.is_object()), "{words:?}: {line}");
        }
    }
}

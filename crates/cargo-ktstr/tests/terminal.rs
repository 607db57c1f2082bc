//! A person at a shell: a pseudo-terminal, and what is typed there. On TCG, and in the lab on KVM.
#![allow(clippy::unwrap_used)]

mod common;

use common::ktstr;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, ExitStatus};

/// End of the shell's prompt.
const PROMPT: &str = "# ";

/// `cargo ktstr shell` on a terminal of its own.
struct Person {
    screen: File,
    seen: String,
    shell: Child,
}

impl Person {
    fn sits_down() -> Self {
        let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let mut command = ktstr();
        command.args(["shell", "--topology", "1n1l2c1t"]);
        command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let shell = command.spawn().unwrap();
        Self { screen: ours.into(), seen: String::new(), shell }
    }

    /// Looks at the screen until it shows `text` behind what was seen before.
    fn waits_for(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        while !self.seen.contains(text) {
            let count = self.screen.read(&mut buffer).unwrap_or(0);
            assert!(count > 0, "the terminal closed before `{text}`; it had shown:\n{}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    fn types(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether the terminal hands over whole lines and echoes, as before the shell.
    fn has_a_usual_terminal(&self) -> bool {
        let modes = rustix::termios::tcgetattr(self.screen.as_fd()).unwrap().local_modes;
        modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO)
    }

    fn leaves(mut self) -> (ExitStatus, bool) {
        let status = self.shell.wait().unwrap();
        let usual = self.has_a_usual_terminal();
        (status, usual)
    }
}

#[test]
fn keys_reach_the_guest_s_shell_ctrl_c_its_command_and_its_exit_code_comes_back() {
    let mut person = Person::sits_down();
    person.waits_for(PROMPT);
    assert!(!person.has_a_usual_terminal());
    // The command itself says that it runs: between two commands of a line a Ctrl-C would be the shell's.
    person.types("sh -c 'echo keys-$((40+2)) arrive; exec sleep 1000'\r");
    person.waits_for("keys-42 arrive");
    person.types("\u{3}");
    person.waits_for(PROMPT);
    person.types("exit $((3+4))\r");
    let (status, usual) = person.leaves();
    assert_eq!(status.code(), Some(7));
    assert!(usual, "the terminal is left raw");
}

#[test]
fn ctrl_a_x_leaves_a_machine_that_hangs_and_is_no_success() {
    let mut person = Person::sits_down();
    person.waits_for(PROMPT);
    person.types("\u{1}x");
    let (status, usual) = person.leaves();
    assert_eq!(status.code(), Some(125));
    assert!(usual, "the terminal is left raw");
}

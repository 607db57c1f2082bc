//! The head of a `.run` file: what can be checked before anything is unpacked.

use super::{LIBRARIES, LOADER, PROGRAM};

/// Exit code of a `.run` file on a machine that cannot run it; 0, 1 and 2 are a test's.
pub const CANNOT: i32 = 3;

/// The script; the payload follows its last line.
pub fn script(test: &str, has_scheduler: bool) -> String {
    let scheduler = if has_scheduler { WITH_SCHEDULER } else { WITHOUT_SCHEDULER };
    let text = SCRIPT
        .replace("@SCHEDULER@", scheduler)
        .replace("@TEST@", &quoted(test))
        .replace("@CANNOT@", &CANNOT.to_string())
        .replace("@LIBRARIES@", LIBRARIES)
        .replace("@LOADER@", LOADER)
        .replace("@PROGRAM@", PROGRAM);
    let lines = text.lines().count();
    text.replace("@FIRST@", &(lines + 1).to_string())
}

/// A word of the shell's, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

const WITH_SCHEDULER: &str = r#"[ -e $scx/state ] || refuse "this kernel ($(uname -r)) has no sched_ext" "boot one with CONFIG_SCHED_CLASS_EXT=y"
[ -e "/boot/config-$(uname -r)" ] || [ -e /proc/config.gz ] ||
    refuse "the kernel's configuration is neither in /boot nor in /proc/config.gz" "put it at /boot/config-$(uname -r): schedulers read it""#;
const WITHOUT_SCHEDULER: &str = "[ -e $scx/state ] || state=disabled";

const SCRIPT: &str = r#"#!/bin/sh
# A ktstr test with all it needs. Exit codes: 0 pass or skip, 1 fail, 2 inconclusive, @CANNOT@ this machine cannot run it.
set -u
test=@TEST@
scx=/sys/kernel/sched_ext
refuse() {
    echo "ktstr: NOT RUN: $1" >&2
    echo "ktstr: $2" >&2
    exit @CANNOT@
}
[ "$(id -u)" = 0 ] || refuse "not root" "run it with sudo"
[ "$(uname -m)" = x86_64 ] || refuse "this machine is a $(uname -m)" "run it on x86_64"
[ -e /sys/fs/cgroup/cgroup.controllers ] || refuse "cgroup2 is not mounted at /sys/fs/cgroup" "boot with systemd.unified_cgroup_hierarchy=1"
@SCHEDULER@
state=$(cat $scx/state 2>/dev/null || echo disabled)
[ "$state" = disabled ] || refuse "a scheduler is attached already: $(cat $scx/root/ops 2>/dev/null) ($state)" "stop it first"
dir=$(mktemp -d "${TMPDIR:-/tmp}/ktstr-run.XXXXXX") || refuse "no temporary directory" "set TMPDIR to one that may be written"
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
tail -n +@FIRST@ "$0" | tar xzf - -C "$dir" || refuse "this file is damaged" "copy or export it again"
"$dir/@LIBRARIES@/@LOADER@" --library-path "$dir/@LIBRARIES@" "$dir/@PROGRAM@" --ktstr-bare-test="$test" --ktstr-bare-dir="$dir"
exit $?
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    #[test]
    fn the_payload_begins_where_the_script_says() {
        for has_scheduler in [false, true] {
            let text = script("a", has_scheduler);
            assert!(!text.contains('@') || text.contains("\"$@\""), "{text}");
            assert!(text.contains(&format!("tail -n +{} ", text.lines().count() + 1)));
            assert!(text.ends_with("exit $?\n"));
        }
    }

    #[test]
    fn a_name_with_a_quote_stays_one_word() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    /// The script with an `id` and a `uname` of the test's choice.
    fn run(uid: &str, machine: &str) -> (Option<i32>, String) {
        let dir = tempfile::tempdir().unwrap();
        for (name, says) in [("id", uid), ("uname", machine)] {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\necho {says}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = dir.path().join("a.run");
        std::fs::write(&path, script("a", true)).unwrap();
        let output = Command::new("/bin/sh")
            .arg(&path)
            .env("PATH", format!("{}:/usr/bin:/bin", dir.path().display()))
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    #[test]
    fn a_machine_that_cannot_run_it_hears_why_and_what_to_do() {
        let (code, text) = run("1000", "x86_64");
        assert_eq!((code, text.as_str()), (Some(CANNOT), "ktstr: NOT RUN: not root\nktstr: run it with sudo\n"));
        let (code, text) = run("0", "riscv64");
        assert_eq!((code, text.lines().count()), (Some(CANNOT), 2), "{text}");
        assert!(text.contains("riscv64"), "{text}");
    }
}

//! What a shell needs beside itself: busybox where it is installed, else the host's own programs.

use std::path::PathBuf;

/// What one expects at a prompt.
const TOOLS: &[&str] = &[
    "awk", "cat", "chmod", "chrt", "cp", "cut", "date", "dmesg", "env", "find", "free", "grep", "gzip", "head",
    "hostname", "id", "kill", "less", "ln", "ls", "lscpu", "mkdir", "mktemp", "more", "mount", "mv", "nproc", "ps",
    "readlink", "rm", "sed", "seq", "sleep", "sort", "stat", "stty", "tail", "tar", "taskset", "tee", "top", "touch",
    "tr", "uname", "uptime", "vmstat", "wc", "which", "xargs",
];

/// Host files and where they go in the guest.
pub fn find(interactive: bool) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    if let Some(busybox) = on_path("busybox") {
        found.push((busybox, "/bin/busybox".to_owned()));
        // Its shell is as good as any; what busybox lacks comes from the host.
        let lacks = ["chrt", "lscpu", "taskset"];
        found.extend(lacks.iter().filter_map(|name| Some((on_path(name)?, format!("/usr/bin/{name}")))));
        return found;
    }
    if interactive {
        eprintln!("ktstr: busybox is not installed (apt-get install busybox-static); the guest gets this host's tools");
    }
    // At a prompt bash has a line editor, and dash has none.
    let shells = if interactive { ["bash", "sh"] } else { ["sh", "bash"] };
    found.extend(shells.iter().find_map(|name| Some((on_path(name)?, "/bin/sh".to_owned()))));
    found.extend(TOOLS.iter().filter_map(|name| Some((on_path(name)?, format!("/bin/{name}")))));
    found
}

/// The file behind a program's name, links followed: what is packed is the program itself.
fn on_path(name: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir| dir.join(name)).find(|p| p.is_file())?.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_shell() {
        for interactive in [false, true] {
            let found = find(interactive);
            assert!(found.iter().any(|(_, guest)| guest == "/bin/sh" || guest == "/bin/busybox"), "{found:?}");
        }
    }
}

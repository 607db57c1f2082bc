//! The program under test, and the fixture of the fault tests beside it.
#![allow(dead_code, clippy::unwrap_used)] // Each test file uses its part.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// `cargo ktstr`.
pub fn ktstr() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-ktstr"));
    command.arg("ktstr").stdin(Stdio::null()).env_remove("KTSTR_KERNEL_LIST");
    command
}

/// A test binary: the fixture, which the whole workspace's build leaves beside this program.
pub fn fixture() -> Command {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_cargo-ktstr")).with_file_name("fixture");
    assert!(path.exists(), "there is no {}: run `cargo build -p fault-tests`", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).env_remove("NEXTEST").env_remove("KTSTR_KERNEL_LIST").env_remove("KTSTR_NO_SKIP_MODE");
    command
}

/// What a program wrote.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A workspace whose test binaries are built already: cargo is a script, nextest is the real one and is told where they are.
pub struct Built {
    /// Where the commands are called.
    pub dir: tempfile::TempDir,
}

impl Built {
    /// Each binary of nextest's name `id` is the fixture.
    pub fn new(ids: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/faults/Cargo.toml");
        let ask = ["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path", root];
        let metadata = Command::new(&cargo).args(ask).output().unwrap().stdout;
        let known: serde_json::Value = serde_json::from_slice(&metadata).unwrap();
        let package = known["packages"].as_array().unwrap().iter().find(|p| p["name"] == "fault-tests").unwrap();
        let binary = fixture().get_program().to_owned();
        let target = known["target_directory"].as_str().unwrap();
        let binaries: serde_json::Map<String, serde_json::Value> = ids
            .iter()
            .map(|id| {
                let one = serde_json::json!({"binary-id": id, "binary-name": "fixture", "package-id": package["id"],
                    "kind": "bin", "binary-path": binary.to_str().unwrap(), "build-platform": "target"});
                ((*id).to_owned(), one)
            })
            .collect();
        let meta = serde_json::json!({"target-directory": target, "base-output-directories": ["debug"],
            "non-test-binaries": {}, "build-script-out-dirs": {}, "linked-paths": [], "target-platforms": [], "target-platform": null});
        let listed = serde_json::json!({"rust-build-meta": meta, "rust-binaries": binaries});
        std::fs::write(place("metadata.json"), metadata).unwrap();
        std::fs::write(place("binaries.json"), listed.to_string()).unwrap();
        let script = format!(
            "#!/bin/sh\nset -e\nhere={}\ncase \"$1\" in\nmetadata) cat $here/metadata.json;;\n\
             nextest) verb=$2; shift 2; for word; do shift; [ \"$word\" = --cargo-quiet ] || set -- \"$@\" \"$word\"; done\n\
             exec cargo-nextest nextest $verb --cargo-metadata $here/metadata.json --binaries-metadata $here/binaries.json \"$@\";;\n\
             *) exit 9;;\nesac\n",
            dir.path().display()
        );
        std::fs::write(place("cargo"), script).unwrap();
        std::fs::set_permissions(place("cargo"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { dir }
    }

    /// `cargo ktstr` there.
    pub fn ktstr(&self, words: &[&str]) -> Command {
        let mut command = ktstr();
        command.args(words).current_dir(self.dir.path()).env("CARGO", self.dir.path().join("cargo"));
        command.env("KTSTR_RUNS_ROOT", self.dir.path().join("runs"));
        for name in [
            "KTSTR_SIDECAR_DIR",
            "KTSTR_RUN_EPOCH",
            "KTSTR_NO_SKIP_MODE",
            "NEXTEST",
            "NEXTEST_PROFILE",
            "KTSTR_TEST_KERNEL",
        ] {
            command.env_remove(name);
        }
        command
    }
}

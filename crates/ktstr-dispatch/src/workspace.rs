//! Schedulers that are packages of the workspace at hand: cargo decides whether their programs are as new as their sources.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A workspace, known by its Cargo.lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    dir: PathBuf,
    lock: String,
}

/// Why no program came of a build: the last words of cargo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFailure(pub String);

impl Workspace {
    /// The one around the package whose tests these are: what cargo and nextest say, else the working directory.
    pub fn of_this_test() -> Option<Self> {
        let said = std::env::var_os("CARGO_MANIFEST_DIR").filter(|d| !d.is_empty()).map(PathBuf::from);
        Self::around(&said.or_else(|| std::env::current_dir().ok())?)
    }

    fn around(dir: &Path) -> Option<Self> {
        dir.ancestors().find_map(|dir| {
            let lock = std::fs::read_to_string(dir.join("Cargo.lock")).ok()?;
            Some(Self { dir: dir.to_owned(), lock })
        })
    }

    /// Whether `name` is a package whose sources are here: an entry of the lock file without a registry.
    pub fn has(&self, name: &str) -> bool {
        let named = format!("name = \"{name}\"");
        self.lock.split("[[package]]").any(|entry| {
            let mut lines = entry.lines().map(str::trim);
            lines.clone().any(|line| line == named) && !lines.any(|line| line.starts_with("source = "))
        })
    }

    /// Has cargo build the package, or find that it is fresh; the answer is its program.
    pub fn build(&self, name: &str, profile: &str) -> Result<PathBuf, BuildFailure> {
        let cargo = std::env::var_os("CARGO").filter(|c| !c.is_empty()).unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--package", name, "--profile", profile])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| BuildFailure(format!("cargo could not be started: {e}")))?;
        if !output.status.success() {
            return Err(BuildFailure(first_error(&String::from_utf8_lossy(&output.stderr))));
        }
        program_in(&String::from_utf8_lossy(&output.stdout), name)
            .ok_or_else(|| BuildFailure(format!("the package has no program named {name}")))
    }
}

/// From cargo's first `error` on, three lines at most; its last three lines when there is none.
fn first_error(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let from = lines.iter().position(|l| l.starts_with("error")).unwrap_or_else(|| lines.len().saturating_sub(3));
    lines[from..].iter().take(3).copied().collect::<Vec<_>>().join("\n")
}

/// The executable of that name among cargo's messages (cargo: external-tools, "JSON messages").
fn program_in(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(|message| {
        let is_it = message["reason"] == "compiler-artifact" && message["target"]["name"] == name;
        if is_it { message["executable"].as_str().map(PathBuf::from) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"mine\"\nversion = \"0.1.0\"\ndependencies = [\n \"theirs\",\n]\n\n\
                        [[package]]\nname = \"theirs\"\nversion = \"1.0.0\"\nsource = \"registry+https://example.org\"\n";

    #[test]
    fn a_package_of_a_registry_is_not_of_the_workspace() {
        let workspace = Workspace { dir: PathBuf::new(), lock: LOCK.into() };
        assert!(workspace.has("mine"));
        assert!(!workspace.has("theirs") && !workspace.has("min") && !workspace.has("version"));
    }

    #[test]
    fn the_lock_file_is_looked_for_upwards() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("crates/a")).unwrap();
        assert_eq!(Workspace::around(&dir.path().join("crates/a")).filter(|w| w.dir.starts_with(dir.path())), None);
        std::fs::write(dir.path().join("Cargo.lock"), LOCK).unwrap();
        let found = Workspace::around(&dir.path().join("crates/a")).unwrap();
        assert_eq!(found, Workspace { dir: dir.path().to_owned(), lock: LOCK.into() });
    }

    #[test]
    fn only_a_program_of_that_name_is_its_program() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"mine\"},\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"other\"},\"executable\":\"/t/other\"}\n\
                        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"mine\"},\"executable\":\"/t/mine\"}\n";
        assert_eq!(program_in(messages, "mine"), Some(PathBuf::from("/t/mine")));
        assert_eq!(program_in(messages, "theirs"), None);
        assert_eq!(program_in("not json", "mine"), None);
    }

    /// A package of its own in a directory of its own, built for real.
    #[test]
    fn a_source_that_changed_is_built_again_and_a_broken_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| std::fs::write(dir.path().join(path), text).unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        put("Cargo.toml", "[package]\nname = \"scx-own\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n");
        put("Cargo.lock", "version = 4\n\n[[package]]\nname = \"scx-own\"\nversion = \"0.1.0\"\n");
        let workspace = Workspace::around(dir.path()).unwrap();
        assert!(workspace.has("scx-own"));
        let says = |program: &Path| String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap();
        put("src/main.rs", "fn main() { print!(\"old\") }");
        assert_eq!(says(&workspace.build("scx-own", "dev").unwrap()), "old");
        put("src/main.rs", "fn main() { print!(\"new and longer\") }");
        let main = std::fs::File::open(dir.path().join("src/main.rs")).unwrap();
        // Cargo compares times of files, which have steps of their own.
        main.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(2)).unwrap();
        assert_eq!(says(&workspace.build("scx-own", "dev").unwrap()), "new and longer");
        put("src/main.rs", "fn main() { nothing() }");
        main.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(4)).unwrap();
        let BuildFailure(words) = workspace.build("scx-own", "dev").unwrap_err();
        assert!(words.contains("cannot find function `nothing`"), "{words}");
    }
}

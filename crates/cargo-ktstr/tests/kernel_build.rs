//! `cargo ktstr kernel build` on a tree that is a Makefile which writes down what was asked of it.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const MAKEFILE: &str = "\
defconfig:
\techo defconfig >> asked; echo CONFIG_BASE=y > $(KCONFIG_CONFIG)
olddefconfig:
\techo olddefconfig >> asked; grep -v REFUSED $(KCONFIG_CONFIG) > tmp; mv tmp $(KCONFIG_CONFIG)
kernelrelease:
\t@echo 6.18.15-00042-gdead
image_name:
\t@echo arch/x86/boot/bzImage
bzImage:
\techo bzImage >> asked; mkdir -p arch/x86/boot; printf '\\177ELF %s' kernel > arch/x86/boot/bzImage
";

struct Tree {
    dir: tempfile::TempDir,
    source: PathBuf,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("linux");
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("Makefile"), MAKEFILE).unwrap();
        std::fs::write(source.join("Kconfig"), "").unwrap();
        Self { dir, source }
    }

    fn build(&self, more: &[&str]) -> Output {
        self.call(
            &["kernel", "build", "--source", self.source.to_str().unwrap()]
                .into_iter()
                .chain(more.iter().copied())
                .collect::<Vec<_>>(),
        )
    }

    fn call(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_cargo-ktstr"))
            .arg("ktstr")
            .args(words)
            .env("KTSTR_CACHE_DIR", self.dir.path().join("cache"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn fragment(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("my.config");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn asked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.source.join("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The entry's directory is all that is on standard output.
fn entry(output: &Output) -> PathBuf {
    assert!(output.status.success(), "{}", said(output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    PathBuf::from(text.trim())
}

fn read(dir: &Path, name: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(dir.join(name)).unwrap()).into_owned()
}

#[test]
fn a_tree_without_a_configuration_gets_what_the_harness_needs() {
    let tree = Tree::new();
    let dir = entry(&tree.build(&[]));
    assert_eq!(tree.asked(), ["defconfig", "olddefconfig", "bzImage"]);
    assert!(!tree.source.join(".config").exists(), "the tree stays as it was");
    let config = read(&dir, "config");
    assert!(config.contains("CONFIG_BASE=y") && config.contains("CONFIG_SCHED_CLASS_EXT=y"), "{config}");
    assert_eq!(read(&dir, "vmlinux"), "\x7fELF kernel");
    let metadata: serde_json::Value = serde_json::from_str(&read(&dir, "metadata.json")).unwrap();
    assert_eq!((metadata["version"].as_str(), metadata["sched_ext"].as_bool()), (Some("6.18.15"), Some(true)));
    assert!(dir.file_name().unwrap().to_str().unwrap().starts_with("path_linux_"), "{}", dir.display());
    let listed = String::from_utf8(tree.call(&["kernel", "list"]).stdout).unwrap();
    assert!(listed.contains("6.18.15-00042-gdead") && listed.contains("built in "), "{listed}");
}

#[test]
fn a_tree_s_own_configuration_is_used_as_it_is_and_a_fragment_goes_to_a_copy() {
    let tree = Tree::new();
    std::fs::write(tree.source.join(".config"), "CONFIG_OWN=y\n").unwrap();
    let first = tree.build(&[]);
    assert!(said(&first).contains("no sched_ext"), "{}", said(&first));
    assert!(said(&first).contains("no machine will run on this kernel, which lacks CONFIG_SMP"), "{}", said(&first));
    assert_eq!(read(&entry(&first), "config"), "CONFIG_OWN=y\n");
    assert_eq!(tree.asked(), ["bzImage"]);
    let fragment = tree.fragment("CONFIG_SCHED_CLASS_EXT=y\n");
    let second = entry(&tree.build(&["--config", fragment.to_str().unwrap()]));
    assert_eq!(second, entry(&first), "a tree has one entry, which the new build replaces");
    assert_eq!(read(&second, "config"), "CONFIG_OWN=y\nCONFIG_SCHED_CLASS_EXT=y\n");
    assert_eq!(read(&tree.source, ".config"), "CONFIG_OWN=y\n");
}

#[test]
fn a_line_that_the_tree_does_not_take_stops_the_build_before_it_begins() {
    let tree = Tree::new();
    let fragment = tree.fragment("CONFIG_REFUSED=y\n");
    let output = tree.build(&["--config", fragment.to_str().unwrap()]);
    let text = said(&output);
    assert!(output.status.code() == Some(1) && text.contains("does not take CONFIG_REFUSED=y"), "{text}");
    assert!(!tree.asked().contains(&"bzImage".to_owned()));
}

#[test]
fn what_is_no_tree_or_does_not_build_is_named() {
    let tree = Tree::new();
    std::fs::remove_file(tree.source.join("Kconfig")).unwrap();
    let text = said(&tree.build(&[]));
    assert!(text.lines().count() == 1 && text.contains("has no Kconfig"), "{text}");
    let tree = Tree::new();
    std::fs::write(tree.source.join("Makefile"), MAKEFILE.replace("printf", "false; exit 1; printf")).unwrap();
    let output = tree.build(&[]);
    let text = said(&output);
    assert!(output.status.code() == Some(1) && text.contains("`make bzImage` in "), "{text}");
    assert!(text.lines().last().unwrap().starts_with("error: "), "{text}");
}

//! `cargo ktstr affected`: which declared schedulers a git diff touches. Any doubt widens to all.

use crate::cargo::{Binary, binaries, metadata};
use crate::git::git;
use crate::router::question;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Declared schedulers that a git diff touches.
#[derive(clap::Args, Debug)]
pub struct Affected {
    /// What to compare the working tree with
    #[arg(long, default_value = "origin/main", value_name = "REF")]
    base: String,
}

/// Runs it.
pub fn run(affected: &Affected) -> Result<ExitCode> {
    let declared = declared(&binaries(&[])?)?;
    let workspace = Workspace::read(&metadata(&[], false)?)?;
    let found = match changed_files(&affected.base, &workspace.root) {
        Ok(files) => workspace.touched(&files).map(|packages| select(&workspace, &declared, &packages)),
        Err(e) => Err(format!("{e:#}")),
    };
    let all: BTreeSet<&str> = declared.iter().map(|d| d.name.as_str()).collect();
    let (schedulers, why) = match &found {
        Ok(names) => (names.iter().map(String::as_str).collect(), None),
        Err(why) => {
            eprintln!("ktstr: all schedulers are taken for affected: {why}");
            (all, Some(why))
        }
    };
    println!("{}", json!({"base": affected.base, "all": why.is_some(), "why": why, "schedulers": schedulers}));
    Ok(ExitCode::SUCCESS)
}

/// One declaration, as a test binary says it (`--ktstr-list-schedulers`).
#[derive(Clone, Debug, Deserialize)]
struct Declared {
    name: String,
    /// Package, binary or path; empty for what is not a program.
    #[serde(default)]
    binary: String,
    /// The package of the test that declares it.
    #[serde(skip)]
    package: String,
}

fn declared(binaries: &[Binary]) -> Result<Vec<Declared>> {
    let mut all = Vec::new();
    for binary in binaries {
        let output = question(&binary.path, "--ktstr-list-schedulers", |_| Ok(()))?;
        if !output.status.success() {
            bail!("{} does not list its schedulers: it was built with an older ktstr", binary.id);
        }
        for line in output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let one: Declared = serde_json::from_slice(line).with_context(|| format!("what {} said", binary.id))?;
            all.push(Declared { package: binary.package.clone(), ..one });
        }
    }
    Ok(all)
}

/// Files that differ from where this branch left `base`, those git does not know yet too; paths from the repository's root.
fn changed_files(base: &str, dir: &Path) -> Result<Vec<PathBuf>> {
    let git = |args: &[&str]| git(dir, args);
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?.trim_end());
    let from = git(&["merge-base", base, "HEAD"])?;
    let tracked = git(&["diff", "--name-only", "--no-renames", "-z", from.trim()])?;
    let new = git(&["ls-files", "--others", "--exclude-standard", "--full-name", "-z", &format!("{}", top.display())])?;
    Ok(tracked.split('\0').chain(new.split('\0')).filter(|n| !n.is_empty()).map(|n| top.join(n)).collect())
}

/// Packages, and which of them are made of which.
struct Workspace {
    root: PathBuf,
    packages: BTreeMap<String, Package>,
}

struct Package {
    dir: PathBuf,
    binaries: BTreeSet<String>,
    uses: BTreeSet<PathBuf>,
}

impl Workspace {
    fn read(metadata: &Value) -> Result<Self> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let root = PathBuf::from(text(&metadata["workspace_root"]));
        let mut packages = BTreeMap::new();
        for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            let targets = package["targets"].as_array().into_iter().flatten();
            let of_kind = |t: &&Value| t["kind"].as_array().is_some_and(|k| k.iter().any(|k| k == "bin"));
            let dependencies = package["dependencies"].as_array().into_iter().flatten();
            packages.insert(
                text(&package["name"]),
                Package {
                    dir: manifest.parent().unwrap_or(Path::new("/")).to_owned(),
                    binaries: targets.filter(of_kind).map(|t| text(&t["name"])).collect(),
                    uses: dependencies.filter_map(|d| d["path"].as_str()).map(PathBuf::from).collect(),
                },
            );
        }
        Ok(Self { root, packages })
    }

    /// The packages that the files are of, or why everything must be taken for touched.
    fn touched(&self, files: &[PathBuf]) -> Result<BTreeSet<&str>, String> {
        let mut touched = BTreeSet::new();
        for file in files {
            let owner = self
                .packages
                .iter()
                .filter(|(_, p)| if p.dir == self.root { built_of(&self.root, file) } else { file.starts_with(&p.dir) })
                .max_by_key(|(_, p)| p.dir.components().count());
            match owner {
                Some((name, _)) => touched.insert(name.as_str()),
                None => return Err(format!("{} is of no package", file.display())),
            };
        }
        Ok(touched)
    }

    /// A package and every package of the workspace that it is made of.
    fn closure<'a>(&'a self, name: &'a str) -> BTreeSet<&'a str> {
        let mut known = BTreeSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let Some((name, package)) = self.packages.get_key_value(name) else { continue };
            if known.insert(name.as_str()) {
                let used = self.packages.iter().filter(|(_, p)| package.uses.contains(&p.dir));
                open.extend(used.map(|(name, _)| name.as_str()));
            }
        }
        known
    }

    /// The package that builds a scheduler's program.
    fn builder(&self, binary: &str) -> Option<&str> {
        let file = Path::new(binary).file_name().and_then(|n| n.to_str()).unwrap_or(binary);
        let found = self.packages.iter().find(|(name, p)| *name == file || p.binaries.contains(file));
        found.map(|(name, _)| name.as_str())
    }
}

/// Where cargo looks for a package's own sources; what else lies in the workspace's root is everybody's.
const SOURCES: [&str; 5] = ["src", "tests", "benches", "examples", "build.rs"];

fn built_of(root: &Path, file: &Path) -> bool {
    let inside = file.strip_prefix(root).ok().and_then(|inside| inside.components().next());
    inside.is_some_and(|first| SOURCES.iter().any(|name| first.as_os_str() == *name))
}

/// Schedulers whose program, or whose declaring tests, are made of a touched package.
fn select(workspace: &Workspace, declared: &[Declared], touched: &BTreeSet<&str>) -> BTreeSet<String> {
    let hit = |package: &str| !workspace.closure(package).is_disjoint(touched);
    let affected = declared.iter().filter(|d| {
        // A test package that cargo did not list is a doubt.
        !workspace.packages.contains_key(&d.package) || hit(&d.package) || workspace.builder(&d.binary).is_some_and(hit)
    });
    affected.map(|d| d.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        let package = |name: &str, bins: &[&str], uses: &[&str]| {
            json!({"name": name, "manifest_path": format!("/w/{name}/Cargo.toml"),
                "targets": bins.iter().map(|b| json!({"name": b, "kind": ["bin"]})).collect::<Vec<_>>(),
                "dependencies": uses.iter().map(|u| json!({"name": u, "path": format!("/w/{u}")})).collect::<Vec<_>>()})
        };
        let all = [
            package("common", &[], &[]),
            package("scx-a", &["scx_a"], &["common"]),
            package("scx-b", &["scx_b"], &[]),
            package("tests-ab", &[], &[]),
            package("tests-c", &[], &["common"]),
        ];
        Workspace::read(&json!({"workspace_root": "/w", "packages": all})).unwrap()
    }

    fn declared() -> Vec<Declared> {
        [("a", "scx_a", "tests-ab"), ("b", "scx-b", "tests-ab"), ("c", "scx_published", "tests-c")]
            .map(|(n, b, p)| Declared { name: n.into(), binary: b.into(), package: p.into() })
            .to_vec()
    }

    fn affected(files: &[&str]) -> Result<Vec<String>, String> {
        let workspace = workspace();
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let touched = workspace.touched(&files)?;
        Ok(select(&workspace, &declared(), &touched).into_iter().collect())
    }

    #[test]
    fn a_change_reaches_the_schedulers_made_of_it() {
        assert_eq!(affected(&["/w/scx-a/src/main.rs"]).unwrap(), ["a"]);
        assert_eq!(affected(&["/w/common/src/lib.rs"]).unwrap(), ["a", "c"]);
        assert_eq!(affected(&["/w/tests-ab/tests/t.rs"]).unwrap(), ["a", "b"]);
        assert_eq!(affected(&[]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_file_of_no_package_widens_to_all() {
        assert!(affected(&["/w/scx-a/src/main.rs", "/w/Cargo.lock"]).unwrap_err().contains("Cargo.lock"));
    }

    #[test]
    fn a_package_in_the_workspace_s_root_owns_its_sources_and_not_what_all_share() {
        let package = json!({"name": "only", "manifest_path": "/w/Cargo.toml", "targets": [], "dependencies": []});
        let workspace = Workspace::read(&json!({"workspace_root": "/w", "packages": [package]})).unwrap();
        let touched = |file: &str| workspace.touched(&[PathBuf::from(file)]).map(|t| t.into_iter().collect::<Vec<_>>());
        assert_eq!(touched("/w/tests/sched.rs").unwrap(), ["only"]);
        assert!(touched("/w/Cargo.lock").is_err() && touched("/w/.cargo/config.toml").is_err());
    }

    #[test]
    fn a_test_package_that_is_not_listed_is_a_doubt() {
        let mut lost = declared();
        lost[1].package = "elsewhere".into();
        assert!(select(&workspace(), &lost, &BTreeSet::new()).contains("b"));
    }
}

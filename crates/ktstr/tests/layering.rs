//! Who may know whom: a crate uses only crates above it.

use serde_json::Value;
use std::process::Command;

/// The crates of the workspace, lowest first; each may use only those before it.
const ORDER: &[&str] = &[
    "ktstr-verdict",
    "ktstr-topology",
    "ktstr-budget",
    "ktstr-kernel",
    "ktstr-wire",
    "ktstr-sidecar",
    "ktstr-vmm",
    "ktstr-scenario",
    "ktstr-guest-init",
    "ktstr-dispatch",
    "ktstr-macros",
    "ktstr",
    "cargo-ktstr",
    "scx-ktstr",
    "xtask",
];

/// What an example may use: what a user has.
const DOOR: &str = "ktstr";

/// What a package of the workspace is, by the directory it lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A crate of the product: it has a place in [`ORDER`].
    Crate,
    /// `examples/*`: it uses what a user has.
    Example,
    /// `tests/*`: it looks at everything, and nothing uses it.
    Tests,
}

/// One package of the workspace as cargo describes it.
struct Package {
    name: String,
    kind: Kind,
    /// Every dependency, whatever its kind, by package name.
    uses: Vec<String>,
}

/// The packages in the answer of `cargo metadata --no-deps`.
fn packages(metadata: &Value) -> Vec<Package> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let root = text(&metadata["workspace_root"]);
    let kind = |manifest: &str| match manifest.strip_prefix(&root).unwrap_or(manifest) {
        inside if inside.starts_with("/examples/") => Kind::Example,
        inside if inside.starts_with("/tests/") => Kind::Tests,
        _ => Kind::Crate,
    };
    let one = |package: &Value| Package {
        name: text(&package["name"]),
        kind: kind(&text(&package["manifest_path"])),
        uses: list(&package["dependencies"]).iter().map(|d| text(&d["name"])).collect(),
    };
    list(&metadata["packages"]).iter().map(one).collect()
}

/// One line for every dependency that points down or sideways, and for every crate without a place in the order.
fn violations(packages: &[Package]) -> Vec<String> {
    let rank = |name: &str| ORDER.iter().position(|n| *n == name);
    let is_member = |name: &str| packages.iter().any(|p| p.name == name);
    let mut found = Vec::new();
    for Package { name, kind, uses } in packages {
        let own = rank(name);
        if own.is_none() && *kind == Kind::Crate {
            found.push(format!("{name} has no place in the order: add it to the table of crates and to ORDER"));
        }
        for used in uses.iter().filter(|used| is_member(used)) {
            let theirs = rank(used);
            let allowed = match kind {
                Kind::Crate => theirs.is_some() && theirs < own,
                Kind::Example => used == DOOR,
                Kind::Tests => theirs.is_some(),
            };
            if !allowed {
                found.push(format!("{name} uses {used}, which it may not know: move the code or the dependency up"));
            }
        }
    }
    found
}

fn package(name: &str, uses: &[&str]) -> Package {
    Package { name: name.to_owned(), kind: Kind::Crate, uses: uses.iter().map(ToString::to_string).collect() }
}

#[test]
fn every_crate_uses_only_crates_above_it() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs, for it started this test");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = packages(&metadata);
    assert!(packages.iter().any(|p| p.name == DOOR && !p.uses.is_empty()), "the workspace was not read");
    assert_eq!(violations(&packages), Vec::<String>::new());
}

#[test]
fn a_dependency_on_a_lower_line_is_found() {
    let found = violations(&[package("ktstr-wire", &["ktstr-vmm", "serde"]), package("ktstr-vmm", &["ktstr-wire"])]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("ktstr-wire uses ktstr-vmm"));
}

#[test]
fn a_crate_that_the_order_does_not_name_is_found() {
    assert_eq!(violations(&[package("ktstr-extra", &[])]).len(), 1);
}

#[test]
fn an_example_knows_what_a_user_knows() {
    let example = Package { kind: Kind::Example, ..package("first-test", &["ktstr", "ktstr-vmm"]) };
    let found = violations(&[example, package("ktstr", &[]), package("ktstr-vmm", &[])]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_package_of_tests_uses_everything_and_is_used_by_nothing() {
    let tests = Package { kind: Kind::Tests, ..package("fault-tests", &["ktstr-sidecar", "ktstr"]) };
    let wire = package("ktstr-wire", &["fault-tests"]);
    let found = violations(&[tests, wire, package("ktstr", &[]), package("ktstr-sidecar", &[])]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("ktstr-wire uses fault-tests"));
}

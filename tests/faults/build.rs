//! Builds what a test loads into QEMU.
use std::path::Path;
use std::process::Command;

fn main() {
    const SOURCE: &str = "preload/late.rs";
    println!("cargo::rerun-if-changed={SOURCE}");
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["--edition=2024", "--crate-type=cdylib", "--crate-name=late", SOURCE])
        .args(["-Cpanic=abort", "-Copt-level=2", "-Cstrip=symbols", "-Clink-arg=-nostdlib", "-o"])
        .arg(Path::new(&variable("OUT_DIR")).join("late.so"));
    let status = rustc.status().expect("cargo's compiler can be started");
    assert!(status.success(), "{SOURCE} does not build");
}

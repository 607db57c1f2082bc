//! Builds what is loaded into QEMU: a library of its own, for it runs in another process.
use std::path::Path;
use std::process::Command;

fn main() {
    const SOURCE: &str = "preload/turns.rs";
    println!("cargo::rerun-if-changed=preload");
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let to = Path::new(&variable("OUT_DIR")).join("turns.so");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["--edition=2024", "--crate-type=cdylib", "--crate-name=turns"])
        .args(["-Cpanic=abort", "-Copt-level=2", "-Cstrip=symbols", "-Clink-arg=-nostdlib"])
        .args(["--target", &variable("TARGET"), SOURCE, "-o"])
        .arg(&to);
    if variable("CARGO_CFG_TARGET_ENV") == "musl" {
        rustc.arg("-Ctarget-feature=-crt-static");
    }
    // The linker that cargo was told to use.
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let status = rustc.status().expect("cargo's compiler can be started");
    assert!(status.success(), "{SOURCE} does not build");
}

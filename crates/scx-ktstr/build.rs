//! Compiles the BPF half. Without its compiler the crate becomes a program that says what is missing, so that the rest of the
//! workspace builds anywhere.

use anyhow::{Context as _, Result};
use libbpf_cargo::SkeletonBuilder;
use std::path::{Path, PathBuf};

/// The compiler, and the Debian package that brings it.
const CLANG: &str = "clang-19";
const SOURCE: &str = "src/bpf/ktstr.bpf.c";

fn main() -> Result<()> {
    println!("cargo::rustc-check-cfg=cfg(without_clang)");
    for name in ["BPF_CLANG", "CLANG", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=src/bpf");
    let Some(clang) = clang() else {
        println!("cargo::rustc-cfg=without_clang");
        // A file that is not there makes cargo ask again at the next build.
        println!("cargo::rerun-if-changed=/usr/bin/{CLANG}");
        println!("cargo::warning=scx-ktstr is built without its BPF half: {CLANG} is missing");
        return Ok(());
    };
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?).join("ktstr.skel.rs");
    SkeletonBuilder::new()
        .source(SOURCE)
        .clang(clang)
        .clang_args(["-Wall", "-Werror", "-mcpu=v3"])
        .build_and_generate(out)
        .context("the BPF half of scx-ktstr does not compile")
}

/// What `BPF_CLANG` or `CLANG` names, else clang-19; `None` when it is not on this machine.
fn clang() -> Option<PathBuf> {
    let named = ["BPF_CLANG", "CLANG"].iter().find_map(|n| std::env::var_os(n).filter(|v| !v.is_empty()));
    let program = named.map_or_else(|| PathBuf::from(CLANG), PathBuf::from);
    if program.components().count() > 1 {
        return program.is_file().then_some(program);
    }
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir: PathBuf| dir.join(&program)).find(|p: &PathBuf| Path::is_file(p))
}

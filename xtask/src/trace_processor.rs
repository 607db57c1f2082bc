//! Perfetto's trace processor, which answers SQL about a trace.
//!
//! What Perfetto's Python package would run is downloaded from a host that not every machine reaches. Debian has no package of it
//! either, but its source: as a part of Chromium's. It is built once, for long minutes, without optimisation and without the parts
//! that no question here needs, and kept in the cache.

use crate::setup::run_processor_setup;
use crate::step::{run, say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use ktstr_kernel::Console;
use ktstr_kernel::cache::{Cache, publish_dir};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The source package.
const SOURCE: &str = "chromium";
/// Perfetto in it.
const PART: &str = "third_party/perfetto/";
/// Beside it, SQLite in one file: Debian's own is older than Perfetto wants.
const SQLITE: &str = "third_party/sqlite/src/amalgamation/";
/// SQLite in one file has percentiles of its own (`SQLITE_ENABLE_PERCENTILE`); Perfetto asks for them as an extension.
const PERCENTILE: &str = "int sqlite3_percentile_init(void *db, char **error, const void *api) { return 0; }\n";
/// Of Perfetto, what the build does not read.
const UNREAD: [&str; 3] = ["ui/", "docs/", "contrib/"];
/// The program, and what makes it.
const PROGRAM: &str = "trace_processor_shell";
/// Where in the source it is built.
const OUT: &str = "out/ktstr";

/// What is built, and with what: the machine's own compiler and libraries, nothing that a trace of ours does not hold.
const ARGUMENTS: &str = r#"is_debug = false
extra_cflags = "-O0 -g0"
extra_ldflags = "-L../../../sqlite/src/amalgamation"
cc = "clang-19"
cxx = "clang++-19"
is_clang = true
is_hermetic_clang = false
is_system_compiler = true
use_custom_libcxx = false
skip_buildtools_check = true
perfetto_enable_git_rev_version_header = false
perfetto_use_system_protobuf = true
perfetto_use_system_sqlite = true
enable_perfetto_zlib = false
enable_perfetto_re2 = false
enable_perfetto_x64_cpu_opt = false
enable_perfetto_unittests = false
enable_perfetto_integration_tests = false
enable_perfetto_benchmarks = false
enable_perfetto_fuzzers = false
enable_perfetto_ui = false
enable_perfetto_heapprofd = false
enable_perfetto_traced_perf = false
enable_perfetto_traced_probes = false
enable_perfetto_traceconv = false
enable_perfetto_trace_processor_linenoise = false
enable_perfetto_trace_processor_json = false
enable_perfetto_trace_processor_mac_instruments = false
enable_perfetto_llvm_demangle = false
enable_perfetto_etm_importer = false
enable_perfetto_winscope = false
"#;

/// Where the program is once it was built.
fn dir() -> Result<PathBuf> {
    Ok(Cache::open()?.dir().join("tools").join("trace-processor"))
}

/// The program, if it was built.
pub fn built() -> Result<Option<PathBuf>> {
    let program = dir()?.join(PROGRAM);
    Ok(program.is_file().then_some(program))
}

/// The program, built if it was not.
pub fn build() -> Result<PathBuf> {
    let dir = dir()?;
    let program = dir.join(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    run_processor_setup()?;
    let tree = source()?;
    let out = tree.join(OUT);
    fs::create_dir_all(&out).with_context(|| format!("failed to create {}", out.display()))?;
    fs::write(out.join("args.gn"), ARGUMENTS)?;
    run(Command::new("gn").args(["gen", OUT]).current_dir(&tree))?;
    let sqlite = sqlite()?;
    let ninja = &mut Command::new("ninja");
    // Before a header of the machine's own (clang's manual, Environment variables).
    ninja.args(["-C", OUT, PROGRAM]).current_dir(&tree).env("CPATH", &sqlite);
    run(ninja)
        .context("the trace processor was not built; what was compiled is kept, and the same command goes on there")?;
    publish_dir::<anyhow::Error>(
        &dir,
        || true,
        |new| {
            fs::copy(out.join(PROGRAM), new.join(PROGRAM))?;
            Ok(())
        },
    )
    .with_context(|| format!("failed to keep the trace processor in {}", dir.display()))?;
    run(Command::new(&program).arg("--version"))?;
    Ok(program)
}

/// SQLite as a library, beside its source; its directory is the answer.
fn sqlite() -> Result<PathBuf> {
    let dir = unpacked().join(SQLITE);
    let library = dir.join("libsqlite3.a");
    if !library.is_file() {
        fs::write(dir.join("percentile.c"), PERCENTILE)?;
        let options = ["-O1", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_TEMP_STORE=3"];
        let files = ["-DSQLITE_ENABLE_PERCENTILE", "-c", "sqlite3.c", "percentile.c"];
        run(Command::new("clang-19").args(options).args(files).current_dir(&dir))?;
        run(Command::new("ar").args(["rcs", "libsqlite3.a", "sqlite3.o", "percentile.o"]).current_dir(&dir))?;
    }
    Ok(dir)
}

fn unpacked() -> PathBuf {
    workspace_root().join("target/trace-processor")
}

/// Perfetto's source, and SQLite's, unpacked once.
fn source() -> Result<PathBuf> {
    let dir = unpacked();
    let tree = dir.join(PART);
    if !dir.exists() {
        let read = |p: &str| !UNREAD.iter().any(|u| p.starts_with(u));
        let wanted = |path: &str| path.starts_with(SQLITE) || path.strip_prefix(PART).is_some_and(read);
        let found = ktstr_kernel::fetch::unpack_source(SOURCE, &dir, wanted, &Console::new())
            .with_context(|| format!("failed to get the source of {SOURCE}"))?;
        say(&format!("{} {}, SHA-256 {}", found.name, found.version, found.sha256));
    }
    ensure!(tree.join("BUILD.gn").is_file(), "{} holds no Perfetto; remove it and repeat", dir.display());
    Ok(tree)
}

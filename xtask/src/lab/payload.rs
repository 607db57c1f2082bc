//! Everything the outer machine needs, as one initramfs: it has no disk.

use super::LAB_DIR;
use super::guest::{COMMAND_FILE, Job};
use crate::step::{cargo, run, workspace_root};
use anyhow::{Context as _, Result, ensure};
use ktstr_kernel::cache::CacheEntry;
use ktstr_vmm::initramfs::{cpio, shared_libraries};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Programs that tests and people use; from this machine, with their libraries. Missing ones are left out.
const PROGRAMS: [&str; 24] = [
    "sh",
    "cat",
    "ls",
    "sleep",
    "true",
    "false",
    "grep",
    "sed",
    "head",
    "tail",
    "mount",
    "dmesg",
    "env",
    "uname",
    "mkdir",
    "cp",
    "rm",
    "find",
    "ps",
    "kill",
    "bash",
    "timeout",
    "stress-ng",
    "hackbench",
];
/// Directories that are links on a merged system.
const LINKS: [&str; 4] = ["/bin", "/sbin", "/lib", "/lib64"];

/// The packed archive; gone with this value.
pub struct Archive {
    file: tempfile::NamedTempFile,
    /// Bytes.
    pub size: u64,
}

impl Archive {
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// The built tests, as nextest runs them without cargo.
pub struct Suite {
    binaries: Vec<PathBuf>,
    binaries_metadata: String,
    cargo_metadata: String,
}

impl Suite {
    /// Builds the tests of these packages and asks for what nextest must know to run them elsewhere.
    pub fn build(packages: &[&str]) -> Result<Self> {
        let mut list = vec!["nextest", "list", "--locked", "--message-format", "json", "--list-type", "binaries-only"];
        for package in packages {
            list.extend(["--package", package]);
        }
        let binaries_metadata = stdout(cargo(&list).stderr(std::process::Stdio::inherit()))?;
        let cargo_metadata = stdout(&mut cargo(&["metadata", "--format-version", "1", "--locked"]))?;
        let found: serde_json::Value =
            serde_json::from_str(&binaries_metadata).context("nextest's list of binaries")?;
        let mut binaries: Vec<PathBuf> = found["rust-binaries"]
            .as_object()
            .into_iter()
            .flat_map(|map| map.values())
            .filter_map(|b| Some(PathBuf::from(b["binary-path"].as_str()?)))
            .collect();
        ensure!(!binaries.is_empty(), "nextest lists no test binaries for {}", packages.join(", "));
        binaries.push(workspace_root().join("target/debug/fixture"));
        binaries.push(workspace_root().join("target/debug/cargo-ktstr"));
        // There is no cargo inside to build it when a test asks for it.
        run(&mut cargo(&["build", "--locked", "--package", "scx-ktstr"]))?;
        binaries.push(workspace_root().join("target/debug/scx-ktstr"));
        Ok(Self { binaries, binaries_metadata, cargo_metadata })
    }

    /// The commands that run them all in the lab, a part in each lane.
    pub fn commands(&self, lanes: usize, filter: &str) -> Vec<Vec<String>> {
        (1..=lanes).map(|lane| Self::command(&format!("slice:{lane}/{lanes}"), filter)).collect()
    }

    fn command(partition: &str, filter: &str) -> Vec<String> {
        let words = [
            "cargo-nextest",
            "nextest",
            "run",
            "--binaries-metadata",
            "/lab/binaries.json",
            "--cargo-metadata",
            "/lab/cargo.json",
            "--test-threads",
            "1",
            "--no-fail-fast",
            "--hide-progress-bar",
            "--partition",
            partition,
            "-E",
            filter,
        ];
        words.map(str::to_owned).to_vec()
    }
}

fn stdout(command: &mut std::process::Command) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to start {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{} ended with {}", command.get_program().display(), output.status);
    String::from_utf8(output.stdout).context("its output is no text")
}

/// Files by their path in the machine, libraries found as programs are added.
struct Files(BTreeMap<String, PathBuf>);

impl Files {
    fn add(&mut self, path: &str, host: &Path) {
        self.0.insert(real_path(path), host.to_owned());
    }

    fn program(&mut self, path: &str, host: &Path) -> Result<()> {
        for (library, host) in shared_libraries(host)? {
            self.add(&library, &host);
        }
        self.add(path, host);
        Ok(())
    }
}

/// The path with a link in front replaced by what it links to, for an archive must not put files below a link.
fn real_path(path: &str) -> String {
    let link = LINKS.iter().find(|l| path.strip_prefix(**l).is_some_and(|rest| rest.starts_with('/')));
    match link.and_then(|l| Some((l, std::fs::read_link(l).ok()?))) {
        Some((link, target)) => {
            format!("/{}{}", target.display().to_string().trim_start_matches('/'), &path[link.len()..])
        }
        None => path.to_owned(),
    }
}

/// Packs kernel and scheduler for the tests inside, their binaries at the very paths they have here, modules, and the job.
pub fn pack(
    kernel: &CacheEntry,
    modules: &[PathBuf],
    scheduler: &Path,
    suite: &Suite,
    command: &[String],
    extra: &[PathBuf],
) -> Result<Archive> {
    let mut files = Files(BTreeMap::new());
    files.program("/lab/xtask", &std::env::current_exe().context("the path of this program")?)?;
    for name in PROGRAMS.iter().copied().chain(command.first().map(String::as_str)).chain(["cargo-nextest"]) {
        if let Some(host) = on_path(name) {
            let path = if name.starts_with('/') { name.to_owned() } else { format!("/bin/{name}") };
            match shared_libraries(&host) {
                Ok(_) => files.program(&path, &host)?,
                // A script: its interpreter is among the programs, or not.
                Err(_) => files.add(&path, &host),
            }
        }
    }
    for binary in &suite.binaries {
        files.program(&binary.display().to_string(), binary)?;
    }
    files.program(&scheduler.display().to_string(), scheduler)?;
    for file in extra {
        let path = file.display().to_string();
        match shared_libraries(file) {
            Ok(_) => files.program(&path, file)?,
            Err(_) => files.add(&path, file),
        }
    }
    for module in modules {
        let name = module.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        files.add(&format!("{LAB_DIR}/{name}"), module);
    }
    for name in ["vmlinux", "vmlinuz", "config", "metadata.json"] {
        let host = kernel.dir().join(name);
        files.add(&host.display().to_string(), &host);
    }
    let mut archive = cpio::Writer::new();
    for link in LINKS {
        if let Ok(target) = std::fs::read_link(link) {
            archive.symlink(link, &target.display().to_string());
        }
    }
    for directory in ["/proc", "/sys", "/dev", "/tmp", "/run", "/root"] {
        archive.directory(directory);
    }
    for (path, host) in &files.0 {
        let content = std::fs::read(host).with_context(|| format!("failed to read {}", host.display()))?;
        let mode = std::fs::metadata(host).map_or(0o644, |m| m.permissions().mode() & 0o777);
        archive.file(path, mode, &content);
    }
    let job = Job {
        command: command.to_vec(),
        directory: workspace_root(),
        modules: modules.iter().filter_map(|m| m.file_name()).map(|n| format!("{LAB_DIR}/{}", n.display())).collect(),
        environment: environment(kernel),
    };
    archive.file(COMMAND_FILE, 0o644, &serde_json::to_vec(&job)?);
    archive.file("/lab/binaries.json", 0o644, suite.binaries_metadata.as_bytes());
    archive.file("/lab/cargo.json", 0o644, suite.cargo_metadata.as_bytes());
    for file in nextest_needs()? {
        archive.file(&file.display().to_string(), 0o644, &std::fs::read(&file)?);
    }
    let bytes = archive.finish();
    let mut file = tempfile::Builder::new().prefix("ktstr-lab-").tempfile().context("no temporary file for the lab")?;
    file.write_all(&bytes).context("failed to write the lab's archive: is the disk full?")?;
    Ok(Archive { file, size: bytes.len() as u64 })
}

/// nextest wants its configuration, the workspace's manifest, and the directory of each package, which has a manifest too.
fn nextest_needs() -> Result<Vec<PathBuf>> {
    let root = workspace_root();
    let mut out = vec![root.join(".config/nextest.toml"), root.join("Cargo.toml")];
    for group in ["crates", "examples", "tests"] {
        for package in std::fs::read_dir(root.join(group)).with_context(|| format!("failed to read {group}"))?.flatten()
        {
            out.push(package.path().join("Cargo.toml"));
        }
    }
    Ok(out)
}

fn environment(kernel: &CacheEntry) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = vec![
        ("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()),
        ("HOME".into(), std::env::var("HOME").unwrap_or_else(|_| "/root".into())),
        ("KTSTR_KERNEL".into(), kernel.dir().display().to_string()),
        ("KTSTR_ACCEL".into(), "kvm".into()),
        ("KTSTR_NO_SKIP_MODE".into(), "1".into()),
        ("KTSTR_OVERCOMMIT".into(), crate::demo::OVERCOMMIT.into()),
        ("KTSTR_SIDECAR_DIR".into(), super::guest::RECORDS.into()),
    ];
    // What the caller says goes in, so that a single run can be changed.
    for (name, value) in std::env::vars().filter(|(n, _)| n.starts_with("KTSTR_") && n != "KTSTR_CACHE_DIR") {
        out.retain(|(held, _)| *held != name);
        out.push((name, value));
    }
    out.push((
        "KTSTR_CACHE_DIR".into(),
        kernel.dir().ancestors().nth(2).unwrap_or(Path::new("/")).display().to_string(),
    ));
    out
}

fn on_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| p.is_file());
    }
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|d| d.join(name)).find(|p| p.is_file())
}

//! `cargo ktstr sim replay`: what a record tells of, once more.

use super::attempt::{Draw, Level, Out, Ran, brief, drawn, short};
use super::instant::{At, Same, Seen, Stop, Times};
use super::symbols;
use crate::find::{Selection, Test};
use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum as _;
use ktstr_kernel::cache::{Cache, sha256_file};
use ktstr_kernel::find::{FindEnv, find_kernel};
use ktstr_kernel::{Console, Progress as _};
use ktstr_sidecar::SidecarRecord;
use serde_json::json;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[derive(clap::Args)]
pub struct Replay {
    /// A record (*.ktstr.json), or a directory with one
    record: PathBuf,
    /// Let QEMU wait for gdb before the first instruction, on this port or at this socket's path
    #[arg(long, value_name = "PORT|PATH", num_args = 0..=1, default_missing_value = "1234")]
    gdb: Option<String>,
    /// Let it stop there by itself, at an instant of virtual time: `failure`, `failure-2ms`, or as long after the test began as
    /// `337.374ms`
    #[arg(long, value_name = "TIME", requires = "gdb")]
    at: Option<At>,
    #[command(flatten)]
    out: Out,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

pub fn run(command: &Replay) -> Result<ExitCode> {
    let record = read(&command.record)?;
    let draw = draw_of(&record)?;
    let progress = Console::new();
    let test = owner(&record, &command.selection.tests(std::slice::from_ref(&record.test_name), &progress)?)?;
    let kernel = kernel_of(&record)?;
    let qemu = ktstr_vmm::qemu_version();
    ensure!(
        record.qemu_version == qemu,
        "the record was made with QEMU {}, and here is {}: only the same version is the same machine",
        record.qemu_version.as_deref().unwrap_or("of no known version"),
        qemu.as_deref().unwrap_or("none")
    );
    let out = |run: &str| {
        // A record is not overwritten by what is made of it.
        let is_itself = command.record.ancestors().take(2).any(|dir| dir.ends_with(run));
        command.out.dir(&test, &if is_itself { format!("{run}-again") } else { run.to_owned() })
    };
    progress.step(&format!("simulating {}, {}", test.name, drawn(&record)));
    let again = |dir: PathBuf, change: &dyn Fn(&mut Command)| {
        draw.run(&test, Some(&record.topology), dir, |child| {
            if let Some(dir) = &kernel.dir {
                child.env("KTSTR_KERNEL", dir).env_remove("KTSTR_TEST_KERNEL");
            }
            child.env("KTSTR_SCHEDULER_ARGS", record.scheduler_args.join(" ")).env_remove("KTSTR_GDB");
            change(child);
        })
    };
    let gdb = command.gdb.as_deref().map(place).transpose()?;
    let open = |place: &str| {
        progress.note(&invitation(place, &kernel, record.kernel_release.as_deref(), &progress));
    };
    let Some(at) = command.at else {
        gdb.as_deref().into_iter().for_each(open);
        let ran = again(out("replay")?, &|child| {
            gdb.as_deref().map(|place| child.env("KTSTR_GDB", place));
        })?;
        progress.finish();
        let differ = differences(&record, &ran.record);
        report(command, &test, &ran, &differ, None);
        return Ok(code(differ.is_empty()));
    };
    // Where the instant lies is seen in a run that nobody stops, which also shows that this host repeats the record.
    let place = gdb.as_deref().context("--at needs --gdb")?;
    // Without a name, so that nothing is left whatever ends this.
    let file = tempfile::tempfile().context("no file for the times of the machine's output")?;
    let file_path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    let ran = again(out("replay")?, &|child| {
        child.env("KTSTR_SIM_TIMES", &file_path);
    })?;
    let differ = differences(&record, &ran.record);
    if !differ.is_empty() {
        progress.finish();
        report(command, &test, &ran, &differ, None);
        return Ok(ExitCode::FAILURE);
    }
    let times = Times::parse(&bytes_of(&file_path)?)?;
    let (console, stream) = (bytes_of(&ran.dir.join("console"))?, bytes_of(&ran.dir.join("stream"))?);
    let stop = Seen { record: &ran.record, console: &console, stream: &stream, times: &times }.stop(at)?;
    open(place);
    progress.note(&format!("It stops {}.", stop.place));
    let looked_at = again(out("replay-gdb")?, &|child| {
        child.env("KTSTR_GDB", place).env("KTSTR_GDB_STOP_NS", stop.ns.to_string()).env("KTSTR_SIM_TIMES", &file_path);
    })?;
    progress.finish();
    let same = times.same_until(stop.ns, &Times::parse(&bytes_of(&file_path)?)?);
    report(command, &test, &ran, &differ, Some((&stop, &looked_at, same)));
    Ok(code(same == Same::Yes))
}

/// A port, or a socket's path that means the same in another directory.
fn place(text: &str) -> Result<String> {
    if text.parse::<u16>().is_ok() {
        return Ok(text.to_owned());
    }
    let path = std::path::absolute(text).with_context(|| format!("--gdb {text} is neither a port nor a path"))?;
    Ok(path.to_string_lossy().into_owned())
}

const fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bytes_of(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))
}

fn report(command: &Replay, test: &Test, ran: &Ran, differ: &[String], stopped: Option<(&Stop, &Ran, Same)>) {
    let confirmed = differ.is_empty();
    if command.json {
        let mut value = json!({"test": test.name, "confirmed": confirmed, "differ": differ, "verdict": ran.record.verdict(),
            "message": ran.record.message, "digest": ran.record.digest, "record": ran.dir, "wall_s": ran.wall.as_secs_f64()});
        if let (Some((stop, looked_at, same)), Some(object)) = (stopped, value.as_object_mut()) {
            let under = json!({"stop_ns": stop.ns, "same_until_stop": same, "verdict": looked_at.record.verdict(),
                "message": looked_at.record.message});
            object.insert("gdb".into(), under);
        }
        println!("{value}");
        return;
    }
    let (verdict, digest) = (ran.record.verdict(), short(ran.record.digest.as_deref()));
    let what = if confirmed { "confirmed" } else { "not the same" };
    println!(
        "{what}: {}  {}  digest {digest}  {verdict}  {:.1} s",
        test.name,
        drawn(&ran.record),
        ran.wall.as_secs_f64()
    );
    if !ran.record.message.is_empty() {
        println!("      {}", brief(&ran.record.message));
    }
    for line in differ {
        println!("      {line}");
    }
    if !confirmed && differ.iter().all(|line| line.starts_with("digest") || line.starts_with("verdict")) {
        println!(
            "      nothing that decides the run differs: `cargo ktstr sim check {}` shows where it strays",
            ran.record.test_name
        );
    }
    if let Some((stop, looked_at, same)) = stopped {
        let what = match same {
            Same::Yes => "the recorded run up to its stop",
            Same::Touched => {
                "stopped by its debugger before, so nobody knows whether it was the recorded run up to its stop"
            }
            Same::Ended => "ended before its stop",
            Same::Strayed => "not the recorded run: it strayed before its stop",
        };
        println!("under gdb: {what}, {}", stop.place);
        if same == Same::Ended && !looked_at.record.message.is_empty() {
            println!("      {}", brief(&looked_at.record.message));
        }
    }
}

fn read(path: &Path) -> Result<SidecarRecord> {
    let file = if path.is_dir() { only_record(path)? } else { path.to_owned() };
    let text = std::fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a record", file.display()))
}

fn only_record(dir: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("failed to read {}", dir.display()))?;
    let is_record = |p: &PathBuf| p.to_string_lossy().ends_with(".ktstr.json");
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_record).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => bail!("{} holds no record (*.ktstr.json)", dir.display()),
        (Some(_), false) => bail!("{} holds {} records; name the file", dir.display(), found.len() + 1),
    }
}

/// The seed and the perturbations, as the record says them.
fn draw_of(record: &SidecarRecord) -> Result<Draw> {
    let seed = record.seed.context(
        "this record is not of a simulated run, and no other can be repeated; `cargo ktstr sim run` makes one that can",
    )?;
    ensure!(
        record.digest.is_some(),
        "this run was ended before it was over, so it has no digest to confirm; `cargo ktstr sim run {} --seed {seed}` runs it again",
        record.test_name
    );
    let words = record.chaos.as_deref().unwrap_or("off");
    let (level, keep) =
        words.split_once(", only ").map_or((words, None), |(level, keep)| (level, Some(keep.to_owned())));
    let chaos = Level::from_str(level, false).map_err(|_| anyhow::anyhow!("chaos `{words}` is of a later version"))?;
    Ok(Draw { seed: Some(seed), chaos: Some(chaos), keep })
}

/// The binary that the record is of, among those that have the test.
fn owner(record: &SidecarRecord, candidates: &[Test]) -> Result<Test> {
    let wanted = record.binary_hash.as_deref().context("the record does not say of which binary it is")?;
    let mut others = Vec::new();
    for test in candidates {
        let hash = sha256_file(&test.binary.path)?;
        if hash == wanted {
            return Ok(test.clone());
        }
        others.push(format!("{} is {}", test.binary.path.display(), short(Some(&hash))));
    }
    bail!(
        "the record's binary is {}, built at commit {}; {}\n\
         build that commit with the same compiler, or name the binary with --binary PATH",
        short(Some(wanted)),
        record.project_commit.as_deref().unwrap_or("unknown"),
        others.join(", ")
    )
}

/// The kernel that the record is of.
struct Kernel {
    image: PathBuf,
    /// Its directory in the cache, when it is not the one that would be taken.
    dir: Option<PathBuf>,
}

fn kernel_of(record: &SidecarRecord) -> Result<Kernel> {
    let wanted = record.kernel_hash.as_deref().context("the record does not say on which kernel it is")?;
    if let Ok(found) = find_kernel(&FindEnv::from_process()) {
        let image = found.vmlinux.unwrap_or(found.image);
        if sha256_file(&image)? == wanted {
            return Ok(Kernel { image, dir: None });
        }
    }
    for entry in Cache::open()?.entries()? {
        if sha256_file(&entry.vmlinux()).is_ok_and(|hash| hash == wanted) {
            return Ok(Kernel { image: entry.vmlinux(), dir: Some(entry.dir().to_owned()) });
        }
    }
    let label = record.kernel_label.as_deref().unwrap_or("unknown");
    bail!(
        "the record's kernel is {label} ({}), image {}, and it is not here\n\
         run `cargo ktstr kernel fetch {label}`, or set KTSTR_KERNEL to that image",
        record.kernel_release.as_deref().unwrap_or("of no known release"),
        short(Some(wanted))
    )
}

/// How to attach, and where the symbols are.
fn invitation(place: &str, kernel: &Kernel, release: Option<&str>, progress: &Console) -> String {
    let target = if place.parse::<u16>().is_ok() { format!(":{place}") } else { place.to_owned() };
    let (symbols, hint) = symbols::of(&kernel.image, release, progress);
    let hint = hint.map(|hint| format!("\n{hint}")).unwrap_or_default();
    format!(
        "QEMU waits before the first instruction; then:\n  gdb {} -ex 'target remote {target}' -ex continue{hint}",
        symbols.display()
    )
}

/// What differs between two records of one run, in words.
fn differences(before: &SidecarRecord, now: &SidecarRecord) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    let pairs = [
        ("QEMU", text(&before.qemu_version), text(&now.qemu_version)),
        ("kernel image", text(&before.kernel_hash), text(&now.kernel_hash)),
        ("test binary", text(&before.binary_hash), text(&now.binary_hash)),
        ("scheduler's added arguments", before.scheduler_args.join(" "), now.scheduler_args.join(" ")),
        ("scheduler binary", text(&before.scheduler_binary_hash), text(&now.scheduler_binary_hash)),
        ("guest's files (binary, libraries, scheduler)", text(&before.initramfs_hash), text(&now.initramfs_hash)),
        ("topology", before.topology.clone(), now.topology.clone()),
        ("seed", format!("{:?}", before.seed), format!("{:?}", now.seed)),
        ("chaos", text(&before.chaos), text(&now.chaos)),
        ("verdict", before.verdict().to_string(), now.verdict().to_string()),
        ("digest", text(&before.digest), text(&now.digest)),
    ];
    let differ = pairs.into_iter().filter(|(_, before, now)| before != now);
    differ.map(|(what, before, now)| format!("{what}: the record says {before}, now {now}")).collect()
}

//! The same on KVM, in the lab: our monitor against QEMU's `microvm` and `q35` with the same kernel, CPUs and memory, and against
//! virtme-ng with the same CPUs, memory and version of the kernel.
//!
//! Times there are those of nested emulation, and good as ratios within one run; counts of exits are exact.

use super::boot::CMDLINE;
use super::{median, virtme};
use crate::lab;
use crate::step::{say, workspace_root};
use anyhow::{Context as _, Result, ensure};
use ktstr_vmm::{Monitor, VmConfig, kernel_command_line};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Runs of each monitor, in turn.
pub const RUNS: usize = 24;
/// A microvm whose kernel leaves out what ours does.
const WITH_OUR_WORDS: &str = "microvm, our words";
/// What one leaves behind in the lab's memory and caches the next one meets: in these, over and over again, each comes behind each of
/// the others equally often, the last of a round before the first of the next one.
const ORDERS: [[&str; 4]; 3] = [
    ["ktstr", "microvm", WITH_OUR_WORDS, "q35"],
    ["ktstr", WITH_OUR_WORDS, "microvm", "q35"],
    ["microvm", "ktstr", "q35", WITH_OUR_WORDS],
];
const MICROVM: &str = "microvm,x-option-roms=off,rtc=on";
/// How long a QEMU may take that comes to its end in 2 to 5 s.
const LIMIT: Duration = Duration::from_secs(60);
/// Where the results are left inside the lab.
const RESULTS: &str = "bench-boot.json";
/// Firmware that QEMU loads for these machines.
const FIRMWARE: [&str; 8] = [
    "/usr/share/qemu/bios-microvm.bin",
    "/usr/share/qemu/bios-256k.bin",
    "/usr/share/seabios/bios-microvm.bin",
    "/usr/share/seabios/bios-256k.bin",
    "/usr/share/qemu/pvh.bin",
    "/usr/share/qemu/linuxboot_dma.bin",
    "/usr/share/qemu/kvmvapic.bin",
    "/usr/share/qemu/qboot.rom",
];

/// One monitor's figures.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Median seconds from exec to power-off; for ours, from exec of the test to its bye, and what comes after the machine; for
    /// virtme-ng, from exec to exit.
    pub wall_s: f64,
    /// Median exits that reached user space: I/O and MMIO, as KVM counts them.
    pub user_exits: f64,
    /// Median of all exits.
    pub exits: f64,
    /// Median of peak resident memory, KiB.
    pub peak_kib: f64,
    /// Of the last run: microseconds of each phase, and exits by reason.
    pub phases_us: BTreeMap<String, u64>,
    pub by_reason: BTreeMap<String, u64>,
}

/// Packs what is needed, measures inside, prints, keeps JSON and a chart in docs/, and holds the promises.
pub fn run(initrd: &Path, runs: usize) -> Result<()> {
    let qemu = PathBuf::from("/usr/bin").join(ktstr_vmm::QEMU_PROGRAM);
    let firmware = FIRMWARE.iter().map(PathBuf::from).filter(|f| f.exists());
    // The initramfs at a path that no mount hides.
    let packed = workspace_root().join("target/ktstr/trivial.cpio");
    std::fs::create_dir_all(workspace_root().join("target/ktstr"))?;
    std::fs::copy(initrd, &packed)?;
    let virtme = virtme::prepare()?;
    let extra: Vec<PathBuf> = firmware.chain([qemu, packed.clone()]).chain(virtme).collect();
    let inside =
        ["/lab/xtask", "bench", "boot-inside", &packed.display().to_string(), &runs.to_string()].map(str::to_owned);
    lab::run_command(&inside.each_ref().map(String::as_str), &extra)?;
    let json = std::fs::read(lab::records().join(RESULTS)).context("the lab left no figures")?;
    let figures: BTreeMap<String, Figures> = serde_json::from_slice(&json)?;
    for (name, f) in &figures {
        println!(
            "boot, kvm: {name:<18} {:>6.2} s {:>7.0} exits to user space {:>8.0} exits {:>7.0} KiB",
            f.wall_s, f.user_exits, f.exits, f.peak_kib
        );
    }
    if let Some(line) = figures.get("ktstr").and_then(|f| channel(&f.by_reason)) {
        println!("{line}");
    }
    let docs = workspace_root().join("docs");
    std::fs::create_dir_all(&docs)?;
    std::fs::write(docs.join("bench-boot.json"), serde_json::to_vec_pretty(&figures)?)?;
    std::fs::write(docs.join("bench-boot.svg"), chart(&figures))?;
    say("figures and chart: docs/bench-boot.json, docs/bench-boot.svg");
    let of = |name: &str| figures.get(name).with_context(|| format!("no figures of {name}"));
    let (ours, microvm) = (of("ktstr")?, of("microvm")?);
    ensure!(ours.user_exits <= microvm.user_exits / 2.0, "more than half of microvm's exits to user space");
    ensure!(ours.exits <= microvm.exits, "more exits than microvm");
    ensure!(ours.wall_s < microvm.wall_s, "slower than microvm");
    if let Some(virtme) = figures.get(virtme::NAME) {
        virtme::hold_the_promise("kvm", ours.wall_s, virtme.wall_s)?;
    }
    Ok(())
}

/// Bytes that one exit of the channel carries, both directions together.
fn channel(by_reason: &BTreeMap<String, u64>) -> Option<String> {
    let count = |name: &str| by_reason.get(name).copied();
    let bytes = count("channel.bytes_out")? + count("channel.bytes_in")?;
    let exits = count("channel.rings")? + count("channel.fetches")?;
    let each = bytes.checked_div(exits)?;
    Some(format!("channel: {bytes} bytes in {exits} exits, {each} bytes an exit"))
}

/// What runs inside the lab.
pub fn inside(initrd: &Path, runs: usize) -> Result<()> {
    let kernel = PathBuf::from(std::env::var("KTSTR_KERNEL").context("KTSTR_KERNEL")?);
    let records = PathBuf::from(std::env::var("KTSTR_SIDECAR_DIR").context("KTSTR_SIDECAR_DIR")?);
    let mut samples: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
    ours(&records).context("the first test also fills caches")?;
    for run in 0..runs {
        for name in ORDERS[run % ORDERS.len()] {
            let sample = match name {
                "ktstr" => ours(&records),
                "microvm" => qemu(MICROVM, &kernel.join("vmlinux"), initrd, CMDLINE),
                WITH_OUR_WORDS => qemu(MICROVM, &kernel.join("vmlinux"), initrd, &with_our_words()?),
                machine => qemu(machine, &kernel.join("vmlinux"), initrd, CMDLINE),
            };
            let sample = match sample {
                Ok(sample) => sample,
                // The lab's KVM stops a QEMU now and then, or one waits for ever; ours has no such excuse.
                Err(e) if name != "ktstr" && e.is::<Unfinished>() => {
                    println!("{name} {run}: {e}; this run is not counted");
                    continue;
                }
                Err(e) => return Err(e.context(format!("{name}, run {run}"))),
            };
            println!("{name} {run}: {:.2} s, {} exits{}", sample.wall_s, sample.exits, phases(&sample.phases_us));
            samples.entry(name).or_default().push(sample);
        }
    }
    for name in ORDERS[0] {
        let counted = samples.get(name).map_or(0, Vec::len);
        ensure!(counted * 2 > runs, "only {counted} of {runs} runs of {name} came to their end");
    }
    match virtme::run(&kernel, virtme::Under::Kvm)? {
        virtme::End::Exited(figures) => drop(samples.insert(virtme::NAME, vec![figures])),
        virtme::End::Unfinished(why) => println!("boot, kvm: {}: {why}; it has no figures here", virtme::NAME),
    }
    let figures: BTreeMap<&str, Figures> = samples.into_iter().map(|(name, runs)| (name, summary(runs))).collect();
    std::fs::write(records.join(RESULTS), serde_json::to_vec_pretty(&figures)?)?;
    Ok(())
}

/// Milliseconds of each phase, where there are any: what a slow run waited for.
fn phases(phases_us: &BTreeMap<String, u64>) -> String {
    phases_us.iter().map(|(name, us)| format!(", {name} {}", us / 1000)).collect()
}

fn summary(mut runs: Vec<Figures>) -> Figures {
    let of = |pick: fn(&Figures) -> f64| median(runs.iter().map(pick).collect());
    let (wall_s, user_exits, exits) = (of(|f| f.wall_s), of(|f| f.user_exits), of(|f| f.exits));
    let peak_kib = of(|f| f.peak_kib);
    Figures { wall_s, user_exits, exits, peak_kib, ..runs.pop().unwrap_or_default() }
}

/// A whole test: list of one, initramfs, machine, verdict, record.
fn ours(records: &Path) -> Result<Figures> {
    let before = std::fs::read_dir(records)?.flatten().map(|e| e.path()).find(|p| is_record(p));
    if let Some(old) = before {
        std::fs::remove_file(old)?;
    }
    let mut command = Command::new(workspace_root().join("target/debug/fixture"));
    command.args(["--exact", "ktstr/says_hello_without_xsave", "--nocapture"]).env("NEXTEST", "1");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().context("failed to start the test")?;
    let (status, peak_kib) = wait_with_peak(&child)?;
    let path = std::fs::read_dir(records)?.flatten().map(|e| e.path()).find(|p| is_record(p)).context("no record")?;
    let record: ktstr_sidecar::SidecarRecord = serde_json::from_slice(&std::fs::read(path)?)?;
    ensure!(status.success() && record.passed, "the test did not pass: {}", record.message);
    let count = |name: &str| record.exits.get(name).copied();
    let phase = |name: &str| record.phases_us.get(name).copied().with_context(|| format!("no phase {name}"));
    // The machine's own end, and the record, come after its bye.
    let wall_s = Duration::from_micros(phase("exec")? + phase("bye")?).as_secs_f64();
    Ok(Figures {
        wall_s,
        user_exits: to_f64(count("kvm.io_exits").unwrap_or(0) + count("kvm.mmio_exits").unwrap_or(0)),
        exits: to_f64(count("kvm.exits").context("KVM's counters are not in the record")?),
        peak_kib,
        phases_us: record.phases_us.clone(),
        by_reason: record.exits.clone(),
    })
}

/// Its end and its highest resident memory in KiB (wait4(2), `ru_maxrss`): one that is looked at while it runs gives up time of
/// the lab's only CPU.
fn wait_with_peak(child: &Child) -> Result<(ExitStatus, f64)> {
    let (mut status, pid) = (0, i32::try_from(child.id())?);
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are of this frame and of the types that the call writes; all zeros are a valid `rusage`.
    let (waited, usage) = unsafe { (libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()), usage.assume_init()) };
    ensure!(waited == pid, "failed to wait for the test: {}", std::io::Error::last_os_error());
    Ok((ExitStatus::from_raw(status), to_f64(u64::try_from(usage.ru_maxrss)?)))
}

fn is_record(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".ktstr.json")
}

/// The words of all contenders and those by which ours has its kernel leave something out, which no machine needs to be ours for.
fn with_our_words() -> Result<String> {
    let ours = kernel_command_line(&VmConfig::default(), Monitor::Kvm);
    let left_out = ours.split(' ').find(|w| w.starts_with("initcall_blacklist=")).context("nothing is left out")?;
    Ok(format!("{CMDLINE} {left_out}"))
}

/// QEMU, paused by itself when the guest has powered off, so that KVM's counters are still there.
fn qemu(machine: &str, kernel: &Path, initrd: &Path, cmdline: &str) -> Result<Figures> {
    let mut command = Command::new(ktstr_vmm::QEMU_PROGRAM);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-machine", machine]);
    command.args(["-enable-kvm", "-cpu", "host", "-smp", "2", "-m", "512M", "-qmp", "stdio"]);
    command.args(["-action", "reboot=shutdown,shutdown=pause"]);
    command.args(["-chardev", "null,id=console", "-serial", "chardev:console"]);
    // The lab's KVM tells QEMU's guests sizes of a state that they have not chosen.
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd).args(["-append", &format!("{cmdline} noxsave")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let start = Instant::now();
    let mut child = command.spawn().context("failed to start QEMU")?;
    let result = wait_for_shutdown(&mut child).and_then(|()| {
        let wall_s = start.elapsed().as_secs_f64();
        let by_reason = counters(child.id())?;
        let count = |name: &str| to_f64(by_reason.get(name).copied().unwrap_or(0));
        Ok(Figures {
            wall_s,
            user_exits: count("io_exits") + count("mmio_exits"),
            exits: count("exits"),
            peak_kib: peak(child.id()).unwrap_or(0.0),
            phases_us: BTreeMap::new(),
            by_reason: by_reason.clone(),
        })
    });
    let _ = child.kill();
    let _ = child.wait();
    result
}

/// A QEMU whose guest never powered off.
#[derive(Debug)]
struct Unfinished(&'static str);

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unfinished {}

/// Waits for the guest's end, and kills a QEMU that has not come to it in time.
fn wait_for_shutdown(child: &mut Child) -> Result<()> {
    let pid = i32::try_from(child.id())?;
    std::thread::scope(|scope| {
        let (over, wait) = mpsc::channel::<()>();
        scope.spawn(move || {
            if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                // SAFETY: a signal to a process that has not been waited for, so its number is its own.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        let seen = hear_shutdown(child);
        drop(over);
        seen
    })
}

/// QMP (docs/interop/qmp-spec.rst): one JSON object a line, events once capabilities were negotiated.
fn hear_shutdown(child: &mut Child) -> Result<()> {
    let mut stdin = child.stdin.take().context("no stdin")?;
    stdin.write_all(b"{\"execute\":\"qmp_capabilities\"}\n")?;
    for line in BufReader::new(child.stdout.take().context("no stdout")?).lines() {
        let line = line?;
        if line.contains("\"SHUTDOWN\"") {
            return Ok(());
        }
        // A power-off says so before it stops the machine; KVM_EXIT_INTERNAL_ERROR only stops it, and nothing would follow.
        if line.contains("\"STOP\"") {
            return Err(Unfinished("KVM stopped it before its guest had powered off").into());
        }
    }
    Err(Unfinished("it ended, or was ended after a minute, before its guest had powered off").into())
}

/// KVM's counters of the machine of a process.
pub fn counters(pid: u32) -> Result<BTreeMap<String, u64>> {
    let root = Path::new("/sys/kernel/debug/kvm");
    let prefix = format!("{pid}-");
    let machine = std::fs::read_dir(root)?
        .flatten()
        .find(|e| e.file_name().to_string_lossy().starts_with(&prefix))
        .context("KVM has no counters for this machine")?;
    let files = std::fs::read_dir(machine.path())?.flatten();
    Ok(files
        .filter_map(|f| {
            let count = std::fs::read_to_string(f.path()).ok()?.trim().parse().ok()?;
            Some((f.file_name().to_string_lossy().into_owned(), count))
        })
        .collect())
}

/// Highest resident memory, KiB (proc(5), `VmHWM`).
pub fn peak(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

/// A count as a figure.
#[allow(clippy::cast_precision_loss)] // Counts of one boot.
pub fn to_f64(count: u64) -> f64 {
    count as f64
}

/// A bar of wall time and one of exits to user space for each contender, each group against its largest.
fn chart(figures: &BTreeMap<String, Figures>) -> String {
    use std::fmt::Write as _;
    type Pick = fn(&Figures) -> f64;
    let height = 44 + figures.len() * 48;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"640\" height=\"{height}\" fill=\"#fff\"/>\n",
    );
    let groups: [(&str, Pick, usize); 2] =
        [("seconds from exec to power-off", |f| f.wall_s, 2), ("exits to user space", |f| f.user_exits, 0)];
    for (group, (title, pick, digits)) in groups.into_iter().enumerate() {
        let x = 20 + group * 320;
        let largest = figures.values().map(pick).fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(out, "<text x=\"{x}\" y=\"24\" font-weight=\"bold\">{title}</text>");
        for (row, (name, f)) in figures.iter().enumerate() {
            let y = 44 + row * 48;
            let value = pick(f);
            let width = (value / largest * 200.0).max(1.0);
            let colour = if name == "ktstr" { "#2a6f97" } else { "#a9b8c2" };
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width:.0}\" height=\"18\" fill=\"{colour}\"/>\n\
                 <text x=\"{x}\" y=\"{}\">{name}: {value:.digits$}</text>",
                y + 33
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_contender_comes_behind_each_of_the_others_once_before_it_all_begins_again() {
        let names: Vec<&str> = ORDERS.iter().flatten().copied().collect();
        let mut pairs: Vec<_> = names.iter().zip(names.iter().cycle().skip(1)).collect();
        assert!(pairs.iter().all(|(before, behind)| before != behind), "{pairs:?}");
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len(), 4 * 3);
        assert_eq!(RUNS % ORDERS.len(), 0, "a run that ends in the middle favours somebody");
    }
}

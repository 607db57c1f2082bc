//! Faults of our own monitor. Those that need a guest to run are for the lab, where KVM is true.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Run, fails_with, fixture, machines, on_kvm, run_with, same_environment, spoiled};
use rustix::fs::{FlockOperation, flock};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Number of huge pages of 2 MiB that the host sets aside.
const HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";
/// How often a machine that runs is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// `true` when the test is to go on; else says why it cannot.
fn needs(condition: bool, what: &str) -> bool {
    if !condition {
        eprintln!("not here: {what}");
    }
    condition
}

fn true_kvm() -> bool {
    needs(on_kvm(), "this needs a true KVM; `cargo xtask lab` runs it there")
}

fn dev_kvm() -> bool {
    needs(std::path::Path::new("/dev/kvm").exists(), "this machine has no /dev/kvm")
}

/// The fixture below a limit of the shell's, on KVM.
fn limited(limit: &str, test: &str) -> Run {
    run_with(test, |command| {
        let fixture = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit {limit}; exec \"$0\" \"$@\"")).arg(fixture).args(arguments);
        same_environment(command, &mut shell);
        *command = shell;
        command.env("KTSTR_ACCEL", "kvm");
    })
}

/// Only the lab runs one test at a time.
fn nothing_is_left() {
    assert!(!on_kvm() || machines() == 0, "{} machines are left", machines());
}

/// A skip by default; and nothing is left of the machine.
fn is_contention(run: &Run, why: &str) {
    let stderr = run.stderr();
    assert_eq!(run.output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("ktstr: SKIP: ") && stderr.contains(why), "`{why}` is not in:\n{stderr}");
    assert!(run.records[0].skipped && !run.records[0].passed);
    nothing_is_left();
}

/// The kernel's file alone in a directory, beside its configuration.
fn kernel_of(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, std::path::PathBuf) {
    let entry = ktstr_kernel::cache::Cache::open().unwrap().newest().unwrap().expect("the lab has a kernel");
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(entry.dir().join(file)).unwrap();
    change(&mut bytes);
    let path = dir.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    std::fs::copy(entry.config(), dir.path().join("config")).unwrap();
    (dir, path)
}

fn passes_on(kernel: &std::path::Path) {
    let run = run_with("says_hello", |c| {
        c.env("KTSTR_KERNEL", kernel);
    });
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert!(run.records[0].passed && run.records[0].topology_read_back.is_some());
}

#[test]
fn a_compressed_kernel_boots_by_its_64_bit_entry() {
    if true_kvm() {
        let (_dir, path) = kernel_of("vmlinuz", |_| {});
        passes_on(&path);
    }
}

#[test]
fn a_plain_kernel_without_the_note_of_pvh_boots_by_its_64_bit_entry() {
    if true_kvm() {
        // Type 18 of the name "Xen" is XEN_ELFNOTE_PHYS32_ENTRY (include/xen/interface/elfnote.h); it becomes type 0.
        let note = |kind: u32| [&4u32.to_le_bytes()[..], &8u32.to_le_bytes(), &kind.to_le_bytes(), b"Xen\0"].concat();
        let (_dir, path) = kernel_of("vmlinux", |bytes| {
            let at = bytes.windows(16).position(|w| w == note(18)).expect("a stock kernel has a PVH entry");
            bytes[at..at + 16].copy_from_slice(&note(0));
        });
        passes_on(&path);
    }
}

#[test]
fn a_triple_fault_is_named_and_never_a_pass() {
    if true_kvm() {
        fails_with(&run_with("faults_three_times", |_| {}), "KVM_EXIT_SHUTDOWN: a triple fault");
    }
}

#[test]
fn a_cpu_s_thread_that_panics_is_named_and_never_a_pass() {
    if true_kvm() {
        spoiled("panic-cpu", "its thread panicked");
        nothing_is_left();
    }
}

#[test]
fn a_kvm_that_cannot_run_a_kernel_is_named_at_once_and_never_a_pass() {
    if !dev_kvm() || !needs(!on_kvm(), "KVM is true here") {
        return;
    }
    let start = Instant::now();
    let run = run_with("expects_an_error", |c| {
        c.env("KTSTR_ACCEL", "kvm");
    });
    fails_with(&run, "KVM_EXIT_INTERNAL_ERROR");
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
}

#[test]
fn memory_that_cannot_be_had_is_contention() {
    if true_kvm() {
        is_contention(&limited("-v 400000", "passes"), "no memory for the machine");
    }
}

#[test]
fn files_that_cannot_be_had_are_contention() {
    if true_kvm() {
        is_contention(&limited("-n 16", "on_sixteen_cpus"), "Too many open files");
    }
}

/// Huge pages for one test; the old number comes back with the end of this value.
struct HugePages(String);

impl HugePages {
    fn set(number: u32) -> Self {
        let old = std::fs::read_to_string(HUGE_PAGES).unwrap();
        std::fs::write(HUGE_PAGES, number.to_string()).unwrap();
        assert_eq!(std::fs::read_to_string(HUGE_PAGES).unwrap().trim(), number.to_string(), "too little memory");
        Self(old)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = std::fs::write(HUGE_PAGES, &self.0);
    }
}

/// Only root changes the number of huge pages, and only the lab runs one test at a time.
fn own_huge_pages() -> bool {
    true_kvm() && needs(rustix::process::geteuid().is_root(), "only root sets huge pages aside")
}

/// What was seen of a machine while it ran.
#[derive(Debug, Default)]
struct Seen {
    huge_kib: u64,
    allowed: Vec<String>,
    locked: bool,
}

impl Seen {
    fn look(&mut self, child: &Child, lock: &Path) {
        let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
        let pid = child.id();
        let kib = |line: &str| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok();
        let rollup = read(format!("/proc/{pid}/smaps_rollup"));
        let huge: u64 = rollup.lines().filter(|l| l.contains("_Hugetlb:")).filter_map(kib).sum();
        self.huge_kib = self.huge_kib.max(huge);
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let status = read(format!("{}/status", task.path().display()));
            let field = |name| status.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
            if field("Name:").is_some_and(|name| name.starts_with("vcpu")) {
                self.allowed.extend(field("Cpus_allowed_list:"));
            }
        }
        self.locked |= is_locked(lock);
    }
}

/// A reader's lock is refused: somebody holds the CPU alone.
fn is_locked(lock: &Path) -> bool {
    std::fs::File::open(lock).is_ok_and(|f| flock(&f, FlockOperation::NonBlockingLockShared).is_err())
}

#[test]
fn without_huge_pages_performance_mode_is_a_skip_that_names_the_command() {
    if own_huge_pages() {
        let _none = HugePages::set(0);
        let locks = tempfile::tempdir().unwrap();
        let run = run_with("in_performance_mode", |c| {
            c.env("KTSTR_LOCK_DIR", locks.path());
        });
        is_contention(&run, "huge pages of 2 MiB, and 0 are free; run `echo ");
        assert!(run.stderr().contains(" > /proc/sys/vm/nr_hugepages` as root"), "{}", run.stderr());
    }
}

#[test]
fn performance_mode_runs_in_huge_pages_and_on_a_cpu_of_its_own() {
    if !own_huge_pages() {
        return;
    }
    // 512 MiB is the least that a machine gets, and what one of a single CPU gets.
    let _enough = HugePages::set(256);
    let dir = tempfile::tempdir().unwrap();
    let (locks, log) = (dir.path().join("locks"), dir.path().join("log"));
    let mut command = fixture("in_performance_mode", &dir.path().join("records"));
    command.env("KTSTR_LOCK_DIR", &locks).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let lock = locks.join("cpu0.lock");
    let mut seen = Seen::default();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        seen.look(&child, &lock);
        std::thread::sleep(LOOK);
    };
    let log = std::fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    let (records, _) = ktstr_sidecar::read_records(&dir.path().join("records")).unwrap();
    assert!(records[0].passed && !records[0].skipped, "{log}");
    assert!(seen.huge_kib >= 512 << 10, "{seen:?}");
    assert!(seen.locked && !is_locked(&lock) && lock.exists(), "{seen:?}");
    assert!(seen.allowed.last().is_some_and(|cpus| cpus == "0"), "{seen:?}");
    let names: Vec<_> = std::fs::read_dir(&locks).unwrap().flatten().map(|f| f.file_name()).collect();
    assert_eq!(names, ["cpu0.lock"]);
    nothing_is_left();
}

#[test]
fn a_host_cpu_that_another_run_has_reserved_is_contention() {
    if own_huge_pages() {
        let dir = tempfile::tempdir().unwrap();
        let cpus = std::thread::available_parallelism().unwrap().get();
        let held: Vec<_> = (0..cpus)
            .map(|cpu| {
                let file = std::fs::File::create(dir.path().join(format!("cpu{cpu}.lock"))).unwrap();
                flock(&file, FlockOperation::LockExclusive).unwrap();
                file
            })
            .collect();
        let run = run_with("in_performance_mode", |c| {
            c.env("KTSTR_LOCK_DIR", dir.path());
        });
        is_contention(&run, "host CPU 0");
        assert!(run.stderr().contains("cpu0.lock"), "{}", run.stderr());
        drop(held);
    }
}

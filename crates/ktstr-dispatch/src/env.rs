//! Every environment variable of the harness, and the settings read from them once per process.

use crate::args::Args;
use crate::simulation::Simulation;
use ktstr_kernel::KernelEntry;
use std::ffi::OsString;
use std::path::PathBuf;

/// One variable, for the documentation table.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one line of Markdown.
    pub meaning: &'static str,
}

const fn var(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, meaning }
}

/// The variables this version reads; the README's table is made from this list.
pub const VARIABLES: &[Variable] = &[
    var("KTSTR_TEST_KERNEL", "kernel image to boot; must exist"),
    var("KTSTR_KERNEL", "kernel image, directory or cache entry to boot"),
    var("KTSTR_KERNEL_LIST", "`label=path;label=path`: every machine test once per kernel"),
    var("KTSTR_ACCEL", "`auto`, `kvm`, `tcg` or `sim`"),
    var("KTSTR_SEED", "what all chance of a simulated run is drawn from (default: from the test's name)"),
    var(
        "KTSTR_CHAOS",
        "perturbations of a simulated run, drawn from the seed: `off` (default), `low` or `high`, with `+hotplug` CPUs come and go",
    ),
    var("KTSTR_CHAOS_KEEP", "of them only these, `0-3,7`; `none` leaves all out"),
    var("KTSTR_SIM_KEEP", "directory where a simulated run leaves its whole console and stream"),
    var(
        "KTSTR_GDB",
        "port of this host, or path of a socket, where QEMU waits for a debugger before the first instruction",
    ),
    var("KTSTR_GDB_STOP_NS", "where a simulated run stops for that debugger, in ns of virtual time since power-on"),
    var("KTSTR_SIM_TIMES", "file for the virtual times at which a simulated run wrote its output"),
    var("KTSTR_OVERCOMMIT", "multiplies the host CPUs that gauntlet presets may use (default 1)"),
    var("KTSTR_SCHEDULER", "path of the scheduler binary for `binary = \"…\"` declarations"),
    var("KTSTR_SCHEDULER_ARGS", "words put behind the arguments of the scheduler under test; the record says so"),
    var("KTSTR_SCHEDULER_PROFILE", "cargo profile that schedulers of the workspace are built with (default `release`)"),
    var(
        "KTSTR_SCHEDULER_ALLOW_STALE_FALLBACK",
        "where a scheduler of the workspace does not build, an older binary stands in; the record says so",
    ),
    var(
        "KTSTR_BUDGET_SECS",
        "list only the tests that cover most in so many seconds; under plain nextest for each test binary, under `cargo ktstr test` for the run",
    ),
    var(
        "KTSTR_LIST_NOTES_DIR",
        "directory where listings leave their warnings and what a budget chose, for whoever started nextest",
    ),
    var("KTSTR_CARGO_TEST_MODE", "base names only, no warning about lost variants"),
    var("KTSTR_NO_SKIP_MODE", "presence, even empty: what would be skipped fails"),
    var("KTSTR_NO_PERF_MODE", "skip tests in performance mode"),
    var("KTSTR_PERF_ONLY", "skip tests that are not in performance mode"),
    var(
        "KTSTR_LOCK_DIR",
        "directory of lock files that reserve host CPUs (default `ktstr-locks` in the system's temporary directory)",
    ),
    var("KTSTR_SIDECAR_DIR", "where records are written"),
    var("KTSTR_RUNS_ROOT", "directory above the run directories"),
    var("KTSTR_RUN_EPOCH", "token of a session: its first writer clears older records"),
    var("KTSTR_CI", "records say that they come from CI"),
    var("KTSTR_VERIFIER_SCHEDULER", "only this scheduler's verifier cells"),
    var("KTSTR_VERIFIER_RAW", "verifier logs as they are, repeated blocks and all"),
    var("KTSTR_VERIFIER_RESULT_DIR", "one record for each verifier cell goes there"),
    var("KTSTR_HOST_CGROUP_PARENT", "cgroup that host_only tests work below"),
    var("KTSTR_CGROUP_WALK_ROOT", "where enabling controllers for host_only tests starts"),
    var("KTSTR_CACHE_DIR", "kernels, schedulers and initramfs layers"),
    var("KTSTR_VERBOSE", "`1`: the guest's console on stderr"),
    var("KTSTR_LOG_PASSES", "passed checks and claims are printed too"),
];

/// What the environment says, parsed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `KTSTR_KERNEL_LIST`.
    pub kernels: Vec<KernelEntry>,
    /// `KTSTR_ACCEL`.
    pub accel: Option<String>,
    /// `KTSTR_SEED`, `KTSTR_CHAOS` and `KTSTR_CHAOS_KEEP`, or why they are refused.
    pub simulation: Result<Simulation, String>,
    /// `KTSTR_SIM_KEEP`.
    pub sim_keep: Option<PathBuf>,
    /// `KTSTR_GDB`.
    pub gdb: Option<String>,
    /// `KTSTR_GDB_STOP_NS`, or why it is refused.
    pub gdb_stop_ns: Result<Option<u64>, String>,
    /// `KTSTR_SIM_TIMES`.
    pub sim_times: Option<PathBuf>,
    /// `KTSTR_OVERCOMMIT`, or why it is refused.
    pub overcommit: Result<f64, String>,
    /// `KTSTR_BUDGET_SECS`, unparsed.
    pub budget: Option<String>,
    /// `KTSTR_LIST_NOTES_DIR`.
    pub list_notes_dir: Option<PathBuf>,
    /// `KTSTR_CARGO_TEST_MODE`.
    pub cargo_test_mode: bool,
    /// `KTSTR_NO_SKIP_MODE`.
    pub no_skip: bool,
    /// `KTSTR_NO_PERF_MODE`.
    pub no_perf_mode: bool,
    /// `KTSTR_PERF_ONLY`.
    pub perf_only: bool,
    /// `KTSTR_VERBOSE`.
    pub verbose: bool,
    /// `KTSTR_LOG_PASSES`.
    pub log_passes: bool,
    /// `KTSTR_LOCK_DIR`, or what stands for it.
    pub lock_dir: PathBuf,
    /// `KTSTR_SCHEDULER`.
    pub scheduler: Option<PathBuf>,
    /// `KTSTR_SCHEDULER_ARGS`, as words.
    pub scheduler_args: Vec<String>,
    /// `KTSTR_SCHEDULER_PROFILE`.
    pub scheduler_profile: Option<String>,
    /// `KTSTR_SCHEDULER_ALLOW_STALE_FALLBACK`.
    pub allow_stale: bool,
    /// `KTSTR_VERIFIER_SCHEDULER`.
    pub verifier_scheduler: Option<String>,
    /// `KTSTR_VERIFIER_RAW`.
    pub verifier_raw: bool,
    /// `KTSTR_VERIFIER_RESULT_DIR`.
    pub verifier_result_dir: Option<PathBuf>,
    /// `KTSTR_HOST_CGROUP_PARENT`.
    pub host_cgroup_parent: Option<PathBuf>,
    /// `KTSTR_CGROUP_WALK_ROOT`.
    pub cgroup_walk_root: Option<PathBuf>,
    /// `NEXTEST` is set: the process runs under nextest.
    pub under_nextest: bool,
}

impl Settings {
    /// Reads this process's environment.
    #[must_use]
    pub fn from_process() -> Self {
        Self::read(&|name| std::env::var_os(name))
    }

    /// Reads any environment; an empty variable is as good as unset, but for `KTSTR_NO_SKIP_MODE`.
    pub fn read(get: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| get(name).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        let path = |name: &str| get(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            kernels: ktstr_kernel::parse_kernel_list(&text("KTSTR_KERNEL_LIST").unwrap_or_default()),
            accel: text("KTSTR_ACCEL"),
            simulation: Simulation::parse(
                text("KTSTR_SEED").as_deref(),
                text("KTSTR_CHAOS").as_deref(),
                text("KTSTR_CHAOS_KEEP").as_deref(),
            ),
            sim_keep: path("KTSTR_SIM_KEEP"),
            gdb: text("KTSTR_GDB"),
            gdb_stop_ns: text("KTSTR_GDB_STOP_NS").map(|ns| parse_ns(&ns)).transpose(),
            sim_times: path("KTSTR_SIM_TIMES"),
            overcommit: ktstr_topology::parse_overcommit(text("KTSTR_OVERCOMMIT").as_deref())
                .map_err(|e| e.to_string()),
            budget: text("KTSTR_BUDGET_SECS"),
            list_notes_dir: path("KTSTR_LIST_NOTES_DIR"),
            cargo_test_mode: text("KTSTR_CARGO_TEST_MODE").is_some(),
            no_skip: get("KTSTR_NO_SKIP_MODE").is_some(),
            no_perf_mode: text("KTSTR_NO_PERF_MODE").is_some(),
            perf_only: text("KTSTR_PERF_ONLY").is_some(),
            verbose: text("KTSTR_VERBOSE").as_deref() == Some("1"),
            log_passes: text("KTSTR_LOG_PASSES").is_some(),
            lock_dir: path("KTSTR_LOCK_DIR")
                .unwrap_or_else(|| path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp")).join("ktstr-locks")),
            scheduler: path("KTSTR_SCHEDULER"),
            scheduler_args: text("KTSTR_SCHEDULER_ARGS")
                .map(|words| words.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            scheduler_profile: text("KTSTR_SCHEDULER_PROFILE"),
            allow_stale: text("KTSTR_SCHEDULER_ALLOW_STALE_FALLBACK").is_some(),
            verifier_scheduler: text("KTSTR_VERIFIER_SCHEDULER"),
            verifier_raw: text("KTSTR_VERIFIER_RAW").is_some(),
            verifier_result_dir: path("KTSTR_VERIFIER_RESULT_DIR"),
            host_cgroup_parent: path("KTSTR_HOST_CGROUP_PARENT"),
            cgroup_walk_root: path("KTSTR_CGROUP_WALK_ROOT"),
            under_nextest: get("NEXTEST").is_some(),
        }
    }

    /// Labels that names are suffixed with: none unless two or more kernels are listed.
    #[must_use]
    pub fn kernel_labels(&self) -> Vec<&str> {
        if self.kernels.len() < 2 {
            return Vec::new();
        }
        self.kernels.iter().map(|k| k.label.as_str()).collect()
    }
}

fn parse_ns(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("KTSTR_GDB_STOP_NS=`{text}` is no count of nanoseconds"))
}

/// Everything a decision of dispatch rests on, read once.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The command line.
    pub args: Args,
    /// The environment.
    pub settings: Settings,
}

impl Invocation {
    /// This process's command line and environment.
    #[must_use]
    pub fn from_process() -> Self {
        Self { args: Args::parse(std::env::args_os().skip(1)), settings: Settings::from_process() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_s_table_is_this_list() {
        let readme = include_str!("../../../README.md");
        for Variable { name, meaning } in VARIABLES {
            assert!(readme.contains(&format!("| `{name}` | {meaning} |\n")), "README.md lacks the row of {name}");
        }
    }

    #[test]
    fn empty_is_unset_but_for_no_skip_mode() {
        let all_empty = Settings::read(&|_| Some(OsString::new()));
        assert!(all_empty.no_skip && !all_empty.cargo_test_mode && all_empty.accel.is_none());
        let unset = Settings::read(&|_| None);
        assert!(!unset.no_skip && unset.overcommit == Ok(1.0));
        assert_eq!(unset.lock_dir, std::path::Path::new("/tmp/ktstr-locks"));
    }

    #[test]
    fn one_listed_kernel_gives_no_suffix() {
        let list = |text: &'static str| {
            Settings::read(&move |name| (name == "KTSTR_KERNEL_LIST").then(|| OsString::from(text)))
        };
        assert!(list("6.18=/a").kernel_labels().is_empty());
        assert_eq!(list("6.18=/a;7.3=/b").kernel_labels(), ["6.18", "7.3"]);
    }
}

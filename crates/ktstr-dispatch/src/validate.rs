//! The rules a declared test must meet: one `const fn`, run by the compiler for `#[ktstr_test]` and by the registry for
//! raw entries, so that both say the same words.

use crate::entry::KtstrTestEntry;

/// Why an entry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryError {
    /// No name.
    EmptyName,
    /// `/` or `\` in the name.
    NameHasSeparator,
    /// A dimension, the memory, the CPU budget or the duration is zero.
    ZeroSize,
    /// `llcs` is not a multiple of `numa_nodes`.
    LlcsNotMultipleOfNodes,
    /// The CPU count does not fit 32 bits.
    TooManyCpus,
    /// A `min_` bound is above its `max_` bound.
    MinAboveMax,
    /// `performance_mode` with `no_perf_mode`.
    PerfWithNoPerf,
    /// `cpu_budget` without `no_perf_mode`.
    CpuBudgetWithoutNoPerf,
    /// `host_only` with a scheduler.
    HostOnlyWithScheduler,
    /// `host_only` with staged schedulers.
    HostOnlyWithStaged,
    /// A staged scheduler without a program.
    StagedWithoutProgram,
    /// Two schedulers of one name.
    StagedTwice,
    /// `config` for a scheduler without `config_file_def`.
    ConfigWithoutPlace,
    /// `survives_storm` with `expect_err`.
    StormWithExpectErr,
    /// `survives_storm` without a scheduler.
    StormWithoutScheduler,
    /// `expect_auto_repro` with `expect_err`.
    AutoReproWithExpectErr,
    /// `expect_auto_repro` with `host_only`.
    AutoReproWithHostOnly,
    /// `expect_auto_repro` without a scheduler.
    AutoReproWithoutScheduler,
    /// An scx error matcher without `expect_err`.
    MatcherWithoutExpectErr,
    /// An scx error matcher that every error meets.
    EmptyMatcher,
    /// `post_vm` or `post_vm_unconditional` with `host_only`.
    PostVmWithHostOnly,
    /// A rule of its payload or of a workload is broken.
    Payload(&'static str),
    /// Two programs of one name.
    SamePayloadTwice,
}

impl EntryError {
    /// What is wrong and what to do, in one line.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::EmptyName => "ktstr: the test has no name: set `name`",
            Self::NameHasSeparator => {
                "ktstr: a test name must not contain `/` or `\\`: nextest names are built with `/`"
            }
            Self::ZeroSize => {
                "ktstr: numa_nodes, llcs, cores, threads, memory_mib, cpu_budget and duration_s must be above zero"
            }
            Self::LlcsNotMultipleOfNodes => {
                "ktstr: llcs must be a multiple of numa_nodes: llcs counts the whole machine, not one node"
            }
            Self::TooManyCpus => "ktstr: llcs * cores * threads does not fit 32 bits: declare a smaller machine",
            Self::MinAboveMax => "ktstr: a min_ bound is above its max_ bound: no preset can meet both, swap them",
            Self::PerfWithNoPerf => "ktstr: performance_mode and no_perf_mode exclude each other: keep one",
            Self::CpuBudgetWithoutNoPerf => "ktstr: cpu_budget needs no_perf_mode: add it or drop cpu_budget",
            Self::HostOnlyWithScheduler => {
                "ktstr: host_only runs on the host's own scheduler: drop `scheduler` or `host_only`"
            }
            Self::HostOnlyWithStaged => {
                "ktstr: host_only runs on the host's own scheduler: drop `staged_schedulers` or `host_only`"
            }
            Self::StagedWithoutProgram => {
                "ktstr: a staged scheduler must have a program: declare it with `binary` or `binary_path`"
            }
            Self::StagedTwice => {
                "ktstr: two schedulers of a test have one name: they are attached by their names, rename one"
            }
            Self::ConfigWithoutPlace => {
                "ktstr: `config` needs a scheduler that says where it goes: add `config_file_def` to its declaration"
            }
            Self::StormWithExpectErr => {
                "ktstr: survives_storm promises that the scheduler lives, expect_err that it fails: keep one"
            }
            Self::StormWithoutScheduler => "ktstr: survives_storm needs a scheduler: add `scheduler = ...`",
            Self::AutoReproWithExpectErr => "ktstr: expect_auto_repro and expect_err exclude each other: keep one",
            Self::AutoReproWithHostOnly => "ktstr: expect_auto_repro needs a machine: drop host_only",
            Self::AutoReproWithoutScheduler => "ktstr: expect_auto_repro needs a scheduler: add `scheduler = ...`",
            Self::MatcherWithoutExpectErr => {
                "ktstr: expect_scx_bpf_error_contains and _matches need expect_err: add it"
            }
            Self::EmptyMatcher => {
                "ktstr: an empty expect_scx_bpf_error_contains or _matches is met by every error: say which one, or drop it"
            }
            Self::PostVmWithHostOnly => {
                "ktstr: host_only has no machine for post_vm to look at: check in the test itself"
            }
            Self::Payload(why) => why,
            Self::SamePayloadTwice => {
                "ktstr: payload and workloads must differ in name: their figures are told apart by it"
            }
        }
    }
}

impl std::fmt::Display for EntryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for EntryError {}

impl KtstrTestEntry {
    /// Checks every rule; the first one broken is the answer.
    ///
    /// # Errors
    /// The rule that is broken.
    pub const fn validate(&self) -> Result<(), EntryError> {
        if self.name.is_empty() {
            return Err(EntryError::EmptyName);
        }
        if has_separator(self.name) {
            return Err(EntryError::NameHasSeparator);
        }
        let (nodes, llcs, cores, threads) = self.dimensions();
        let given_zero = matches!(self.memory_mib, Some(0)) || matches!(self.cpu_budget, Some(0));
        if nodes == 0 || llcs == 0 || cores == 0 || threads == 0 || given_zero || self.duration_s == 0 {
            return Err(EntryError::ZeroSize);
        }
        if !llcs.is_multiple_of(nodes) {
            return Err(EntryError::LlcsNotMultipleOfNodes);
        }
        let per_llc = cores.checked_mul(threads);
        if !matches!(per_llc, Some(n) if n.checked_mul(llcs).is_some()) {
            return Err(EntryError::TooManyCpus);
        }
        let c = self.constraints();
        if inverted(c.min_llcs, c.max_llcs)
            || inverted(c.min_cpus, c.max_cpus)
            || inverted(c.min_numa_nodes, c.max_numa_nodes)
        {
            return Err(EntryError::MinAboveMax);
        }
        if self.performance_mode && self.no_perf_mode {
            return Err(EntryError::PerfWithNoPerf);
        }
        if self.cpu_budget.is_some() && !self.no_perf_mode {
            return Err(EntryError::CpuBudgetWithoutNoPerf);
        }
        if let Err(e) = self.validate_payloads() {
            return Err(e);
        }
        self.validate_expectations()
    }

    const fn validate_payloads(&self) -> Result<(), EntryError> {
        if let Some(payload) = self.payload
            && let Err(why) = payload.check()
        {
            return Err(EntryError::Payload(why));
        }
        let mut i = 0;
        while i < self.workloads.len() {
            if let Err(why) = self.workloads[i].check() {
                return Err(EntryError::Payload(why));
            }
            let mut k = i + 1;
            while k < self.workloads.len() {
                if same(self.workloads[i].name, self.workloads[k].name) {
                    return Err(EntryError::SamePayloadTwice);
                }
                k += 1;
            }
            if matches!(self.payload, Some(payload) if same(payload.name, self.workloads[i].name)) {
                return Err(EntryError::SamePayloadTwice);
            }
            i += 1;
        }
        Ok(())
    }

    const fn validate_expectations(&self) -> Result<(), EntryError> {
        let has_scheduler = !self.scheduler.is_eevdf();
        if self.host_only && has_scheduler {
            return Err(EntryError::HostOnlyWithScheduler);
        }
        if self.host_only && !self.staged_schedulers.is_empty() {
            return Err(EntryError::HostOnlyWithStaged);
        }
        if self.config.is_some() && self.scheduler.config_file_def.is_none() {
            return Err(EntryError::ConfigWithoutPlace);
        }
        if let Err(e) = self.validate_staged() {
            return Err(e);
        }
        if self.survives_storm && self.expect_err {
            return Err(EntryError::StormWithExpectErr);
        }
        if self.survives_storm && !has_scheduler {
            return Err(EntryError::StormWithoutScheduler);
        }
        if self.expect_auto_repro && self.expect_err {
            return Err(EntryError::AutoReproWithExpectErr);
        }
        if self.expect_auto_repro && self.host_only {
            return Err(EntryError::AutoReproWithHostOnly);
        }
        if self.expect_auto_repro && !has_scheduler {
            return Err(EntryError::AutoReproWithoutScheduler);
        }
        let matcher = self.expect_scx_bpf_error_contains.is_some() || self.expect_scx_bpf_error_matches.is_some();
        if matcher && !self.expect_err {
            return Err(EntryError::MatcherWithoutExpectErr);
        }
        if empty(self.expect_scx_bpf_error_contains) || empty(self.expect_scx_bpf_error_matches) {
            return Err(EntryError::EmptyMatcher);
        }
        if self.host_only && (self.post_vm.is_some() || self.post_vm_unconditional.is_some()) {
            return Err(EntryError::PostVmWithHostOnly);
        }
        Ok(())
    }
}

impl KtstrTestEntry {
    const fn validate_staged(&self) -> Result<(), EntryError> {
        let staged = self.staged_schedulers;
        let mut i = 0;
        while i < staged.len() {
            if !staged[i].has_verifier_cells() {
                return Err(EntryError::StagedWithoutProgram);
            }
            if same(staged[i].name, self.scheduler.name) {
                return Err(EntryError::StagedTwice);
            }
            let mut j = i + 1;
            while j < staged.len() {
                if same(staged[i].name, staged[j].name) {
                    return Err(EntryError::StagedTwice);
                }
                j += 1;
            }
            i += 1;
        }
        Ok(())
    }
}

const fn inverted(min: u32, max: Option<u32>) -> bool {
    matches!(max, Some(max) if min > max)
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

const fn empty(text: Option<&str>) -> bool {
    matches!(text, Some(text) if text.is_empty())
}

const fn has_separator(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'/' || bytes[i] == b'\\' {
            return true;
        }
        i += 1;
    }
    false
}

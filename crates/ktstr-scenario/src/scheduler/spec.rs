//! A scheduler as it is declared.

use crate::assert::Assert;
use ktstr_topology::TopologyConstraints;

/// Where a scheduler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerSpec {
    /// The kernel's own; nothing is loaded.
    Eevdf,
    /// A binary or package found by name.
    Discover(&'static str),
    /// A binary at a path.
    Path(&'static str),
    /// Built into the kernel and switched by writes of the form `echo V > /abs/path`.
    KernelBuiltin {
        /// Switches it on.
        enable: &'static [&'static str],
        /// Switches it off.
        disable: &'static [&'static str],
    },
}

/// What `declare_scheduler!` writes.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler {
    /// Its name; `root/ops` in the guest must be it, or begin with it and `_`.
    pub name: &'static str,
    /// Where it comes from.
    pub spec: SchedulerSpec,
    /// Default topology of its tests: nodes, caches, cores in each, threads in each.
    pub topology: Option<(u32, u32, u32, u32)>,
    /// Default bounds of its tests.
    pub constraints: TopologyConstraints,
    /// Its arguments.
    pub sched_args: &'static [&'static str],
    /// Words for the kernel's command line.
    pub kargs: &'static [&'static str],
    /// Names and values written below /proc/sys before it starts.
    pub sysctls: &'static [(&'static str, &'static str)],
    /// A file of arguments on the host, relative to the test's package; packed, and read in the guest before the others: words
    /// between blanks, lines that begin with `#` left out.
    pub config_file: Option<&'static str>,
    /// An argument, in which `{file}` stands for the path, and the guest's absolute path of a file that holds what a test gives
    /// as `config`. Without `config` the argument is not passed.
    pub config_file_def: Option<(&'static str, &'static str)>,
    /// Cgroup its workloads live in.
    pub cgroup_parent: Option<&'static str>,
    /// Kernels it is meant for; empty for all.
    pub kernels: &'static [&'static str],
    /// Default checks of its tests.
    pub assert: Assert,
    /// Presets the verifier sweep leaves out.
    pub verifier_exclude_topologies: &'static [&'static str],
}

impl Scheduler {
    /// The value every declaration starts from.
    pub const DEFAULT: Self = Self {
        name: "eevdf",
        spec: SchedulerSpec::Eevdf,
        topology: None,
        constraints: TopologyConstraints::DEFAULT,
        sched_args: &[],
        kargs: &[],
        sysctls: &[],
        config_file: None,
        config_file_def: None,
        cgroup_parent: None,
        kernels: &[],
        assert: Assert::NONE,
        verifier_exclude_topologies: &[],
    };

    /// The kernel's own scheduler.
    pub const EEVDF: Self = Self::DEFAULT;

    /// Whether nothing is loaded.
    #[must_use]
    pub const fn is_eevdf(&self) -> bool {
        matches!(self.spec, SchedulerSpec::Eevdf)
    }

    /// Whether the verifier sweep has cells for it: there must be a program to verify.
    #[must_use]
    pub const fn has_verifier_cells(&self) -> bool {
        matches!(self.spec, SchedulerSpec::Discover(_) | SchedulerSpec::Path(_))
    }
}

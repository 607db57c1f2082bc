//! What the host tells the guest: one file in the initramfs, nothing on the kernel's command line.

use ktstr_scenario::{Assert, SchedulerLaunch};
use ktstr_topology::Topology;
use serde::{Deserialize, Serialize};

/// The file; its presence is what makes a process with number 1 a guest.
pub const PARAMS_PATH: &str = "/ktstr/params.json";
/// Version of [`GuestParams`].
pub const PARAMS_SCHEMA: u32 = 1;

/// One attempt, seen from inside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuestParams {
    /// [`PARAMS_SCHEMA`] of the host.
    pub schema: u32,
    /// Nonce of the attempt.
    pub nonce: u64,
    /// Bare name of the test.
    pub test: String,
    /// The machine that was asked for.
    pub topology: Topology,
    /// How long workloads run, ms.
    pub duration_ms: u64,
    /// The checks, all layers merged.
    pub assert: Assert,
    /// The scheduler to launch; `None` for EEVDF.
    pub scheduler: Option<SchedulerLaunch>,
    /// Its declared name.
    pub scheduler_name: String,
    /// Cgroup below the root that workloads live in.
    pub workload_root_cgroup: Option<String>,
    /// Environment of the test.
    pub env: Vec<(String, String)>,
}

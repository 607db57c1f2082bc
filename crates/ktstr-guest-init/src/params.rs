//! What the host tells the guest: one sealed parcel, through the channel or as a file, nothing on the kernel's command line.

use crate::port;
use crate::trace::Tracing;
use anyhow::{Context as _, Result};
use ktstr_scenario::chaos::Chaos;
use ktstr_scenario::{Assert, Attachable};
use ktstr_topology::Topology;
use ktstr_wire::{PARAMS_PATH, unseal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of [`GuestParams`].
pub const PARAMS_SCHEMA: u32 = 3;

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
    /// The scheduler to attach; `None` for EEVDF.
    pub scheduler: Option<Attachable>,
    /// Schedulers that the test may attach.
    pub staged: Vec<Attachable>,
    /// Its declared name.
    pub scheduler_name: String,
    /// Cgroup below the root that workloads live in.
    pub workload_root_cgroup: Option<String>,
    /// Perturbations of a simulated run.
    #[serde(default)]
    pub chaos: Chaos,
    /// Whether what the CPUs do is recorded.
    pub trace: Tracing,
    /// Environment of the test.
    pub env: Vec<(String, String)>,
}

/// Fetches them. Without parameters there is no nonce, and so no frame: the console and the missing hello say it.
pub fn receive<T: DeserializeOwned>() -> Result<T> {
    match port::fetch()? {
        Some(parcel) => open(&parcel).context("the parameters that came through the channel are damaged"),
        None => {
            let parcel = std::fs::read(PARAMS_PATH).with_context(|| format!("failed to read {PARAMS_PATH}"))?;
            open(&parcel).with_context(|| format!("the parameters in {PARAMS_PATH} are damaged"))
        }
    }
}

/// The seal catches what was lost or changed on the way; the decoder, a host of another version.
fn open<T: DeserializeOwned>(parcel: &[u8]) -> Result<T> {
    serde_json::from_slice(unseal(parcel)?).context("their content is not this version's")
}

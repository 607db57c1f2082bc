//! The machine that a shell runs in.

use super::tools;
use anyhow::{Context as _, Result, bail};
use ktstr_guest_init::{PARAMS_SCHEMA, ShellParams, Terminal};
use ktstr_kernel::cache::Cache;
use ktstr_kernel::find::FoundKernel;
use ktstr_scenario::SchedulerLaunch;
use ktstr_topology::{Topology, vm_memory_mib};
use ktstr_vmm::initramfs::{BaseSpec, build_base_layer};
use ktstr_vmm::{Deadlines, VmConfig, choose_accel};
use ktstr_wire::{Nonce, seal};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// MiB that a stock kernel needs with the tools in its initramfs, and their unpacked copy.
const MIN_MEMORY_MIB: u32 = 1024;
/// Seconds until the guest's hello, and more for each CPU: they come up one after another.
const BOOT_S: u64 = 60;
const BOOT_S_PER_CPU: u64 = 2;
/// Seconds for a scheduler to attach.
const ATTACH_S: u64 = 150;
/// As long as somebody looks at it.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Seconds without CPU time after which a scheduler that is not attached is given up.
const ATTACH_IDLE_S: u64 = 10;

/// A machine, planned.
pub struct Machine {
    topology: Topology,
    kernel: FoundKernel,
    pub memory_mib: u32,
    files: Vec<(PathBuf, String)>,
    scheduler: Option<SchedulerLaunch>,
}

impl Machine {
    pub const fn new(topology: Topology, kernel: FoundKernel) -> Self {
        Self { topology, kernel, memory_mib: 0, files: Vec::new(), scheduler: None }
    }

    pub fn described(&self) -> String {
        let scheduler = self.scheduler.as_ref().map_or("EEVDF", |s| s.name.as_str());
        format!("{} on kernel {} under {scheduler}", self.topology, self.kernel.label)
    }

    /// Host files at the same absolute path.
    pub fn same_path(&mut self, files: &[PathBuf]) {
        self.files.extend(files.iter().map(|f| (f.clone(), f.to_string_lossy().into_owned())));
    }

    /// Host files for /root.
    pub fn include(&mut self, files: &[PathBuf]) -> Result<()> {
        for file in files {
            let name = file.file_name().filter(|_| file.is_file());
            let Some(name) = name else { bail!("-i {} is not a file", file.display()) };
            let guest = format!("/root/{}", name.to_string_lossy());
            if self.files.iter().any(|(_, known)| *known == guest) {
                bail!("-i {}: {guest} is there already, from another file of this name", file.display());
            }
            self.files.push((file.clone(), guest));
        }
        Ok(())
    }

    pub fn scheduler(&mut self, name: &str, path: PathBuf, args: Vec<String>) {
        let file = path.file_name().map_or_else(|| "scheduler".into(), |f| f.to_string_lossy().into_owned());
        let stem = file.strip_prefix("scx_").unwrap_or(&file).to_owned();
        let binary = format!("/sched/{file}");
        self.files.push((path, binary.clone()));
        self.scheduler = Some(SchedulerLaunch {
            name: name.to_owned(),
            binary,
            args_file: None,
            args,
            accepted_ops: vec![name.to_owned(), stem],
            sysctls: Vec::new(),
            attach_progress_s: ATTACH_IDLE_S,
        });
    }

    /// A shell, and what one expects beside it.
    pub fn tools(&mut self, interactive: bool) {
        for (host, guest) in tools::find(interactive) {
            if !self.files.iter().any(|(_, known)| *known == guest) {
                self.files.push((host, guest));
            }
        }
    }

    /// The machine as the monitor wants it.
    pub fn config(&self, exec: Option<&str>, terminal: Option<&Terminal>) -> Result<VmConfig> {
        let wanted = std::env::var("KTSTR_ACCEL").ok().filter(|a| !a.is_empty());
        let accel = choose_accel(wanted.as_deref())?.accel;
        let nonce = nonce()?;
        let params = ShellParams {
            schema: PARAMS_SCHEMA,
            nonce: nonce.0,
            topology: self.topology.clone(),
            scheduler: self.scheduler.clone(),
            exec: exec.map(str::to_owned),
            terminal: terminal.cloned(),
        };
        let cpus = u64::from(self.topology.total_cpus());
        Ok(VmConfig {
            kernel: self.kernel.vmlinux.clone().unwrap_or_else(|| self.kernel.image.clone()),
            initramfs: vec![self.layer()?],
            parameters: seal(&serde_json::to_vec(&params)?).context("the guest's parameters cannot travel")?,
            topology: self.topology.clone(),
            memory_mib: vm_memory_mib(self.topology.total_cpus(), self.memory_mib).max(MIN_MEMORY_MIB),
            nonce,
            deadlines: Deadlines {
                boot: Duration::from_secs(BOOT_S + BOOT_S_PER_CPU * cpus),
                attach: Duration::from_secs(ATTACH_S),
                test: A_YEAR,
                shutdown: Duration::from_secs(60),
            },
            accel,
            terminal: terminal.is_some(),
            verbose: exec.is_some() && std::env::var("KTSTR_VERBOSE").is_ok_and(|v| v == "1"),
            ..VmConfig::default()
        })
    }

    fn layer(&self) -> Result<PathBuf> {
        let config = match (&self.kernel.config, &self.kernel.release) {
            (Some(path), Some(release)) => Some((path.clone(), release.clone())),
            _ => None,
        };
        let init = std::env::current_exe().context("failed to find this program")?;
        let spec = BaseSpec { init, extra: self.files.clone(), texts: Vec::new(), kernel_config: config };
        let cache: &Path = &Cache::open()?.dir().join("initramfs");
        build_base_layer(&spec, cache).context("failed to pack the guest's files")
    }
}

fn nonce() -> Result<Nonce> {
    let mut bytes = [0u8; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    anyhow::ensure!(got == Ok(bytes.len()), "no random bytes for the machine's nonce");
    Ok(Nonce(u64::from_le_bytes(bytes)))
}

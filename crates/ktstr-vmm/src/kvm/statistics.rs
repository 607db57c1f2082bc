//! What KVM itself counted of a machine (Documentation/virt/kvm/api.rst, "KVM statistics"; debugfs, `kvm/PID-FD`).

use kvm_ioctls::VmFd;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;

/// Counters of a machine, its CPUs' summed up, zeros left out; none where debugfs is not mounted or not ours to read.
pub(crate) fn read(vm: &VmFd) -> BTreeMap<String, u64> {
    let dir = format!("/sys/kernel/debug/kvm/{}-{}", std::process::id(), vm.as_raw_fd());
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter_map(|file| {
            let count: u64 = std::fs::read_to_string(file.path()).ok()?.trim().parse().ok()?;
            (count > 0).then(|| (format!("kvm.{}", file.file_name().to_string_lossy()), count))
        })
        .collect()
}

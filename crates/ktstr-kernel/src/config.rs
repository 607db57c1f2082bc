//! The kernel's build configuration, as far as it matters here.

use std::collections::BTreeMap;

/// Flags that decide what a kernel can do in this harness.
pub const FLAGS: [&str; 12] = [
    "SCHED_CLASS_EXT",
    "BPF_SYSCALL",
    "DEBUG_INFO_BTF",
    "CGROUPS",
    "CPUSETS",
    "SCHEDSTATS",
    "SERIAL_8250_CONSOLE",
    "VIRTIO_PCI",
    "VIRTIO_CONSOLE",
    "VIRTIO_FS",
    "PVH",
    "KVM_GUEST",
];

/// The value of every flag of [`FLAGS`] in a `.config`: `y`, `m`, or `n` when it is not set.
pub fn flags(config: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = FLAGS.iter().map(|name| ((*name).to_owned(), "n".to_owned())).collect();
    for line in config.lines() {
        let Some((name, value)) = line.strip_prefix("CONFIG_").and_then(|l| l.split_once('=')) else {
            continue;
        };
        if let Some(slot) = found.get_mut(name) {
            value.trim().clone_into(slot);
        }
    }
    found
}

/// Whether a `.config` builds sched_ext in.
pub fn has_sched_ext(config: &str) -> bool {
    config.lines().any(|line| line.trim_end() == "CONFIG_SCHED_CLASS_EXT=y")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_missing_and_set_flags_are_told_apart() {
        let config = "# CONFIG_SCHEDSTATS is not set\nCONFIG_SCHED_CLASS_EXT=y\nCONFIG_VIRTIO_FS=m\nCONFIG_OTHER=3\n";
        let flags = flags(config);
        assert_eq!(flags["SCHED_CLASS_EXT"], "y");
        assert_eq!(flags["VIRTIO_FS"], "m");
        assert_eq!(flags["SCHEDSTATS"], "n");
        assert_eq!(flags["PVH"], "n");
        assert_eq!(flags.len(), FLAGS.len());
    }

    #[test]
    fn only_the_built_in_class_counts() {
        assert!(has_sched_ext("A=1\nCONFIG_SCHED_CLASS_EXT=y\n"));
        assert!(!has_sched_ext("# CONFIG_SCHED_CLASS_EXT is not set\nCONFIG_SCHED_CLASS_EXT_X=y\n"));
    }
}

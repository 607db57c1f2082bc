//! Which node each CPU belongs to (kernel: Documentation/ABI/stable/sysfs-devices-node).

use super::cpu_mask::MAX_CPUS;
use ktstr_topology::parse_cpu_list;
use std::path::Path;

/// Where the kernel shows its nodes.
const SYSFS: &str = "/sys/devices/system/node";

/// A table made before the workers are forked, and only read by them.
pub struct Nodes {
    of_cpu: Vec<u16>,
    cpus: Vec<(u32, Vec<u32>)>,
}

impl Nodes {
    /// The machine's; a kernel that does not know nodes has one.
    pub fn detect() -> Self {
        Self::read(Path::new(SYSFS))
    }

    pub(super) fn read(root: &Path) -> Self {
        let mut of_cpu = vec![0; MAX_CPUS];
        let list = |path: &str| -> Vec<u32> {
            let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            parse_cpu_list(&text).unwrap_or_default()
        };
        let mut all = Vec::new();
        for node in list("online") {
            let cpus = list(&format!("node{node}/cpulist"));
            for &cpu in &cpus {
                if let Some(of) = of_cpu.get_mut(cpu as usize) {
                    *of = u16::try_from(node).unwrap_or(u16::MAX);
                }
            }
            all.push((node, cpus));
        }
        Self { of_cpu, cpus: all }
    }

    /// The node of a CPU.
    pub fn of(&self, cpu: u32) -> u16 {
        self.of_cpu.get(cpu as usize).copied().unwrap_or(0)
    }

    /// Numbers of all nodes, and the CPUs of each.
    pub fn all(&self) -> &[(u32, Vec<u32>)] {
        &self.cpus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_belong_to_the_node_that_lists_them_and_else_to_the_first() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("online"), "0,2\n").unwrap();
        for (node, cpus) in [(0, "0-1,8\n"), (2, "2-3\n")] {
            std::fs::create_dir(dir.path().join(format!("node{node}"))).unwrap();
            std::fs::write(dir.path().join(format!("node{node}/cpulist")), cpus).unwrap();
        }
        let nodes = Nodes::read(dir.path());
        assert_eq!([0, 1, 2, 3, 8, 9, 99_999].map(|cpu| nodes.of(cpu)), [0, 0, 2, 2, 0, 0, 0]);
        assert_eq!(nodes.all()[1], (2, vec![2, 3]));
    }
}

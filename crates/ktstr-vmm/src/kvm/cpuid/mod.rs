//! CPUID of each CPU: what KVM supports, with every topology and cache leaf made anew, so that nothing of the host's shape is
//! left over. Pure.
//!
//! Leaves: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E. Who reads them: arch/x86/kernel/cpu/topology_*.c,
//! cacheinfo.c.

mod amd;
mod cache;
mod intel;
mod state;

pub(crate) use state::without_xsave;

use ktstr_topology::{ApicLayout, Topology};
use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// Whose leaves a machine has; the host's, for microcode and errata differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuVendor {
    /// GenuineIntel, and who says of himself the same.
    Intel,
    /// AuthenticAMD or HygonGenuine.
    Amd,
}

/// Leaf 1, ECX: the timer takes an absolute TSC value.
const TSC_DEADLINE: u32 = 1 << 24;
/// Leaf 1, ECX.
const X2APIC: u32 = 1 << 21;
/// Leaf 1, ECX: this is a guest.
const HYPERVISOR: u32 = 1 << 31;
/// Leaf 1, EDX: more than one logical processor in a package.
const HTT: u32 = 1 << 28;
/// KVM's features (Documentation/virt/kvm/x86/cpuid.rst).
const KVM_FEATURES: u32 = 0x4000_0001;
/// APIC ids past 255 without interrupt remapping.
const MSI_EXT_DEST_ID: u32 = 1 << 15;

/// One CPU's place, as the leaves want it.
struct Place<'a> {
    topology: &'a Topology,
    layout: &'a ApicLayout,
    apic_id: u32,
    cpu: u32,
}

impl Place<'_> {
    fn thread_shift(&self) -> u32 {
        self.layout.llc_shift() - bits(self.topology.cores_per_llc)
    }

    fn package_shift(&self) -> u32 {
        self.layout.package_shift()
    }

    fn llc_shift(&self) -> u32 {
        self.layout.llc_shift()
    }

    /// CPUs that a predicate holds for.
    fn count(&self, keep: impl Fn(ktstr_topology::CpuPlace) -> bool) -> u32 {
        let places = (0..self.topology.total_cpus()).filter_map(|cpu| self.layout.place(cpu));
        u32::try_from(places.filter(|p| keep(*p)).count()).unwrap_or(u32::MAX)
    }

    fn in_llc(&self) -> u32 {
        let here = self.layout.place(self.cpu).map(|p| p.llc);
        self.count(|p| Some(p.llc) == here)
    }

    fn in_package(&self) -> u32 {
        let here = self.layout.place(self.cpu).map(|p| p.node);
        self.count(|p| Some(p.node) == here)
    }
}

const fn bits(count: u32) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

/// The leaves of CPU number `cpu`; `supported` is what KVM offers (`KVM_GET_SUPPORTED_CPUID`).
#[must_use]
pub fn cpuid(
    supported: &[kvm_cpuid_entry2],
    vendor: CpuVendor,
    topology: &Topology,
    cpu: u32,
) -> Vec<kvm_cpuid_entry2> {
    let layout = ApicLayout::of(topology);
    let place = Place { topology, layout: &layout, apic_id: layout.apic_id(cpu).unwrap_or(u32::MAX), cpu };
    let mut leaves = Leaves(supported.to_vec());
    state::settle_xsave(&mut leaves);
    leaves.change(1, |leaf| {
        let logical = (1u32 << place.package_shift().min(7)).min(255);
        leaf.ebx = (leaf.ebx & 0xffff) | logical << 16 | (place.apic_id & 0xff) << 24;
        leaf.ecx |= TSC_DEADLINE | X2APIC | HYPERVISOR;
        leaf.edx = if place.in_package() > 1 { leaf.edx | HTT } else { leaf.edx & !HTT };
    });
    leaves.change(KVM_FEATURES, |leaf| {
        if layout_needs_wide_ids(topology, &layout) {
            leaf.eax |= MSI_EXT_DEST_ID;
        }
    });
    // Both vendors' kernels read this one; the level types are 1 for threads and 2 for cores.
    leaves.replace(
        0xb,
        &levels(
            &place,
            &[(1, place.thread_shift(), topology.threads_per_core), (2, place.package_shift(), place.in_package())],
        ),
    );
    match vendor {
        CpuVendor::Intel => intel::shape(&mut leaves, &place),
        CpuVendor::Amd => amd::shape(&mut leaves, &place),
    }
    leaves.0
}

/// Whether an APIC id does not fit into eight bits.
pub(crate) fn layout_needs_wide_ids(topology: &Topology, layout: &ApicLayout) -> bool {
    layout.apic_id(topology.total_cpus().saturating_sub(1)).is_some_and(|id| id > 254)
}

/// Sub-leaves in the form of 0xb: shift to the next level, CPUs at this one, number and type, x2APIC id; an empty one ends it.
fn levels(place: &Place<'_>, list: &[(u32, u32, u32)]) -> Vec<[u32; 4]> {
    let mut out: Vec<[u32; 4]> = (0u32..)
        .zip(list)
        .map(|(index, &(kind, shift, cpus))| [shift, cpus, kind << 8 | index, place.apic_id])
        .collect();
    out.push([0, 0, u32::try_from(list.len()).unwrap_or(0), place.apic_id]);
    out
}

/// The list, by leaf.
pub(crate) struct Leaves(Vec<kvm_cpuid_entry2>);

impl Leaves {
    /// Changes a leaf (its sub-leaf 0), which is made when it was not there.
    fn change(&mut self, function: u32, with: impl FnOnce(&mut kvm_cpuid_entry2)) {
        if let Some(leaf) = self.0.iter_mut().find(|l| l.function == function && l.index == 0) {
            with(leaf);
            return;
        }
        let mut leaf = kvm_cpuid_entry2 { function, ..kvm_cpuid_entry2::default() };
        with(&mut leaf);
        self.0.push(leaf);
    }

    fn remove(&mut self, function: u32) {
        self.0.retain(|l| l.function != function);
    }

    /// All sub-leaves of a leaf: EAX, EBX, ECX, EDX of each.
    fn replace(&mut self, function: u32, sub_leaves: &[[u32; 4]]) {
        self.remove(function);
        for (index, &[eax, ebx, ecx, edx]) in (0u32..).zip(sub_leaves) {
            let flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
            self.0.push(kvm_cpuid_entry2 { function, index, flags, eax, ebx, ecx, edx, ..Default::default() });
        }
    }
}

#[cfg(test)]
mod tests;

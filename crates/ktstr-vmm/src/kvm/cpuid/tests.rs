//! Decoded again by somebody else's code.

use super::*;
use ktstr_topology::presets;
use proptest::prelude::*;
use raw_cpuid::{CpuId, CpuIdReader, CpuIdResult, TopologyType};

/// Answers like a CPU: a leaf that is not there reads as zero.
#[derive(Clone)]
struct Reader(Vec<kvm_cpuid_entry2>);

impl CpuIdReader for Reader {
    fn cpuid2(&self, function: u32, index: u32) -> CpuIdResult {
        let flagged = |l: &kvm_cpuid_entry2| l.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX != 0;
        let found = self.0.iter().find(|l| l.function == function && (l.index == index || !flagged(l)));
        found.map_or(CpuIdResult { eax: 0, ebx: 0, ecx: 0, edx: 0 }, |l| CpuIdResult {
            eax: l.eax,
            ebx: l.ebx,
            ecx: l.ecx,
            edx: l.edx,
        })
    }
}

/// A host of another shape than any guest: what it says of itself must not come through.
fn host(vendor: CpuVendor) -> Vec<kvm_cpuid_entry2> {
    let leaf = |function, index, [eax, ebx, ecx, edx]: [u32; 4]| kvm_cpuid_entry2 {
        function,
        index,
        flags: if matches!(function, 4 | 0xb | 0xd | 0x1f | 0x8000_001d) { KVM_CPUID_FLAG_SIGNIFCANT_INDEX } else { 0 },
        eax,
        ebx,
        ecx,
        edx,
        ..Default::default()
    };
    let name = match vendor {
        CpuVendor::Intel => *b"GenuineIntel",
        CpuVendor::Amd => *b"AuthenticAMD",
    };
    let word = |at: usize| u32::from_le_bytes([name[at], name[at + 1], name[at + 2], name[at + 3]]);
    vec![
        leaf(0, 0, [0x16, word(0), word(8), word(4)]),
        leaf(1, 0, [0x0080_0f11, 0x2a10_0800, !HYPERVISOR, 0x1783_fbff]),
        leaf(4, 0, [0xfc1f_c121, 0x01c0_003f, 0x3f, 0]),
        leaf(0xb, 0, [1, 2, 0x100, 0x2a]),
        leaf(0xb, 1, [7, 96, 0x201, 0x2a]),
        leaf(0x1f, 0, [1, 2, 0x100, 0x2a]),
        leaf(0x8000_0000, 0, [0x8000_001e, 0, 0, 0]),
        leaf(0x8000_0001, 0, [0x0080_0f11, 0, 0, 0]),
        leaf(0x8000_0008, 0, [0x3030, 0, 0x7fff, 0]),
        leaf(0x8000_001d, 0, [0x0001_c121, 0x01c0_003f, 0x3f, 0]),
        leaf(0x8000_001e, 0, [0x2a, 0x0115, 0x0102, 0]),
        leaf(KVM_FEATURES, 0, [0, 0, 0, 0]),
    ]
}

fn decoded(vendor: CpuVendor, topology: &Topology, cpu: u32) -> CpuId<Reader> {
    CpuId::with_cpuid_reader(Reader(cpuid(&host(vendor), vendor, topology, cpu)))
}

/// Who shares what, by the rules that kernels use: ids that agree above a shift.
fn same(topology: &Topology, cpu: u32, shift: u32) -> Vec<u32> {
    let layout = ApicLayout::of(topology);
    let id = |cpu| layout.apic_id(cpu).unwrap() >> shift;
    (0..topology.total_cpus()).filter(|o| id(*o) == id(cpu)).collect()
}

fn order(count: usize) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

fn check(vendor: CpuVendor, topology: &Topology, cpu: u32) {
    let id = decoded(vendor, topology, cpu);
    let layout = ApicLayout::of(topology);
    let apic_id = layout.apic_id(cpu).unwrap();
    let info = id.get_feature_info().unwrap();
    assert_eq!(u32::from(info.initial_local_apic_id()), apic_id & 0xff);
    assert!(info.has_hypervisor() && info.has_tsc_deadline() && info.has_x2apic());
    let seen = topology.ideal_read_back();
    let me = &seen.cpus[cpu as usize];
    let levels: Vec<_> = id.get_extended_topology_info().unwrap().collect();
    assert_eq!(levels.len(), 2);
    for level in &levels {
        assert_eq!(level.x2apic_id(), apic_id);
        let expected = match level.level_type() {
            TopologyType::SMT => me.thread_siblings.clone(),
            TopologyType::Core => {
                (0..topology.total_cpus()).filter(|o| seen.cpus[*o as usize].package_id == me.package_id).collect()
            }
            other => panic!("unexpected level {other:?}"),
        };
        assert_eq!(same(topology, cpu, level.shift_right_for_next_apic_id()), expected, "{:?}", level.level_type());
        assert_eq!(usize::from(level.processors()), expected.len());
    }
    let caches: Vec<_> = id.get_cache_parameters().unwrap().collect();
    assert_eq!(caches.len(), if topology.llc_level() == 3 { 4 } else { 3 });
    for cache in caches {
        let expected =
            if u32::from(cache.level()) == topology.llc_level() { &me.llc_cpus } else { &me.thread_siblings };
        assert_eq!(&same(topology, cpu, order(cache.max_cores_for_cache())), expected, "L{}", cache.level());
        assert_eq!(cache.coherency_line_size(), 64);
    }
    match vendor {
        CpuVendor::Intel => {
            let die =
                id.get_extended_topology_info_v2().unwrap().find(|l| l.level_type() == TopologyType::Core).unwrap();
            assert_eq!(same(topology, cpu, die.shift_right_for_next_apic_id()), me.llc_cpus);
        }
        CpuVendor::Amd => {
            let reader = Reader(cpuid(&host(vendor), vendor, topology, cpu));
            assert_eq!(reader.cpuid2(4, 0).eax, 0, "Intel's leaf 4 is left");
            assert_eq!(reader.cpuid2(0x1f, 0).ecx, 0, "Intel's leaf 0x1f is left");
            let complex = reader.cpuid2(0x8000_0026, 1);
            assert_eq!(same(topology, cpu, complex.eax & 0x1f), me.llc_cpus);
            let topo = id.get_processor_topology_info().unwrap();
            assert_eq!(topo.x2apic_id(), apic_id);
            assert_eq!(u32::from(topo.threads_per_core()), topology.threads_per_core);
            assert_eq!(u32::from(topo.node_id()), me.node);
            let model = info.base_model_id() | info.extended_model_id() << 4;
            assert!(model > 0x1f, "a Zen 1 model, whose caches kernels do not look up");
        }
    }
}

#[test]
fn every_cpu_of_every_preset_decodes_to_its_place() {
    for preset in presets() {
        for cpu in 0..preset.topology.total_cpus() {
            check(CpuVendor::Intel, &preset.topology, cpu);
            check(CpuVendor::Amd, &preset.topology, cpu);
        }
    }
}

#[test]
fn a_machine_without_an_l3_decodes_to_one_whose_l2_is_last() {
    let topology = Topology::new(1, 2, 4, 2).unwrap().without_l3();
    for cpu in 0..topology.total_cpus() {
        check(CpuVendor::Intel, &topology, cpu);
        check(CpuVendor::Amd, &topology, cpu);
    }
    let reader = Reader(cpuid(&host(CpuVendor::Amd), CpuVendor::Amd, &topology, 0));
    assert_eq!(reader.cpuid2(0x8000_0006, 0).edx, 0, "the size of an L3 is left");
}

proptest! {
    #[test]
    fn every_cpu_of_any_shape_decodes_to_its_place(n in 1u32..4, l in 1u32..5, c in 1u32..9, t in 1u32..3, pick: u32) {
        let topology = Topology::new(n, n * l, c, t).unwrap();
        let cpu = pick % topology.total_cpus();
        check(CpuVendor::Intel, &topology, cpu);
        check(CpuVendor::Amd, &topology, cpu);
    }
}

#[test]
fn a_kvm_that_does_not_see_xcr0_gets_a_guest_without_xsave_and_avx() {
    let mut leaves = host(CpuVendor::Amd);
    let flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    leaves.push(kvm_cpuid_entry2 { function: 0xd, flags, eax: 7, ebx: 832, ecx: 832, ..Default::default() });
    without_xsave(&mut leaves);
    let made = cpuid(&leaves, CpuVendor::Amd, &Topology::new(1, 1, 2, 1).unwrap(), 0);
    assert!(made.iter().all(|l| l.function != 0xd));
    let info = CpuId::with_cpuid_reader(Reader(made)).get_feature_info().unwrap();
    assert!(!info.has_xsave() && !info.has_oxsave() && !info.has_avx() && !info.has_fma() && info.has_fxsave_fxstor());
}

#[test]
fn state_without_its_feature_is_taken_away_and_the_total_with_it() {
    let with = |feature: u32| {
        let mut leaves = host(CpuVendor::Amd);
        leaves.iter_mut().filter(|l| l.function == 1).for_each(|l| l.ecx = (l.ecx & !(1 << 28)) | feature << 28);
        let flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        leaves.push(kvm_cpuid_entry2 { function: 0xd, flags, eax: 7, ebx: 832, ecx: 832, ..Default::default() });
        leaves.push(kvm_cpuid_entry2 { function: 0xd, index: 2, flags, eax: 256, ebx: 576, ..Default::default() });
        let topology = Topology::new(1, 1, 2, 1).unwrap();
        let reader = Reader(cpuid(&leaves, CpuVendor::Amd, &topology, 0));
        (reader.cpuid2(0xd, 0).eax, reader.cpuid2(0xd, 0).ecx, reader.cpuid2(0xd, 2).eax)
    };
    assert_eq!(with(1), (7, 832, 256));
    assert_eq!(with(0), (3, 576, 0));
}

//! From a [`VmConfig`] to running CPUs.

use super::bus::{Bus, Sink};
use super::channel::Traffic;
use super::cpuid::{CpuVendor, cpuid, layout_needs_wide_ids, without_xsave};
use super::ending::{Ending, Why};
use super::huge::whole_pages;
use super::ioapic::{IoApic, PINS};
use super::layout::{ACPI, COM1_IRQ, HIGH_RAM_START, KVM_IDENTITY_MAP, KVM_TSS};
use super::loader::{Entry, load};
use super::memory::{Region, node_sizes, regions};
use super::probe::probe;
use super::registers::ApicMode;
use super::vcpu::{Vcpu, install_kick_handler};
use super::{acpi, huge, registers, statistics};
use crate::cmdline::{Monitor, kernel_command_line};
use crate::config::{Spoil, VmConfig};
use crate::host::HostTopology;
use crate::host::reserve::{GuestLlc, Reservation};
use anyhow::{Context as _, Result, ensure};
use ktstr_topology::{ApicLayout, Topology};
use ktstr_verdict::ResourceContention;
use kvm_bindings::{
    CpuId, KVM_CAP_HALT_POLL, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API, KVM_MAX_CPUID_ENTRIES,
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK, KVM_X2APIC_API_USE_32BIT_IDS, kvm_enable_cap, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use std::time::{Duration, Instant};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

/// A machine with its CPUs running; dropping it stops and joins them all.
pub(crate) struct Machine {
    vcpus: Vec<Vcpu>,
    exits: BTreeMap<String, u64>,
    stop: Arc<AtomicBool>,
    ending: Arc<Ending>,
    traffic: Arc<Traffic>,
    phases: Vec<(&'static str, Duration)>,
    keyboard: Option<Box<dyn Write + Send>>,
    // The memory and the machine must outlive the CPUs, and do: fields are dropped after `Drop::drop` has joined them.
    vm: Arc<VmFd>,
    _memory: GuestMemoryMmap,
    _host_cpus: Option<Reservation>,
}

impl Machine {
    /// Builds everything and lets the first CPU go.
    pub fn start<S: Sink + Clone + 'static>(config: &VmConfig, sink: S) -> Result<Self> {
        let mut clock = Clock::start();
        install_kick_handler();
        let topology = match &config.spoil {
            Spoil::Topology(other) => other,
            _ => &config.topology,
        };
        let host_cpus = config.performance.as_ref().map(|p| reserve(&p.lock_dir, topology)).transpose()?;
        let kvm = Kvm::new().map_err(|e| scarce(e, "opening /dev/kvm"))?;
        let vm = Arc::new(kvm.create_vm().map_err(|e| scarce(e, "KVM_CREATE_VM"))?);
        let sizes = node_sizes(topology, config.memory_mib);
        let regions = regions(&if host_cpus.is_some() { whole_pages(sizes) } else { sizes });
        let memory = map_memory(&vm, &regions, host_cpus.is_some())?;
        let interrupt = interrupts(&vm, topology)?;
        clock.lap("create");
        let cmdline = kernel_command_line(config, Monitor::Kvm);
        let entry = load(&memory, &regions, config, &cmdline)?;
        registers::write_tables(&memory)?;
        write_acpi(&memory, topology, &regions)?;
        clock.lap("load");
        let fds = create_cpus(&kvm, &vm, topology, entry)?;
        clock.lap("vcpus");
        let ioapic = needs_wide_ids(topology).then(|| {
            let vm = Arc::clone(&vm);
            IoApic::new(move |routes| vm.set_gsi_routing(routes))
        });
        let bus = Arc::new(Bus::new(sink, memory.clone(), interrupt, config.told()).with_ioapic(ioapic));
        let stop = Arc::new(AtomicBool::new(false));
        let ending = Arc::new(Ending::default());
        let pins: Vec<u32> = host_cpus.iter().flat_map(Reservation::cpus).collect();
        let mut machine = Self {
            vcpus: Vec::new(),
            exits: BTreeMap::new(),
            stop,
            ending,
            traffic: bus.traffic(),
            phases: Vec::new(),
            keyboard: config.terminal.then(|| Box::new(bus.keyboard()) as Box<dyn Write + Send>),
            vm,
            _memory: memory,
            _host_cpus: host_cpus,
        };
        for (number, fd) in (0u32..).zip(fds) {
            let (ending, stop) = (Arc::clone(&machine.ending), Arc::clone(&machine.stop));
            let pin = pins.get(number as usize).copied();
            let vcpu = Vcpu::start(fd, number, pin, Arc::clone(&bus), ending, stop)
                .map_err(|e| anyhow::Error::new(ResourceContention::new(format!("no thread for CPU {number}: {e}"))))?;
            machine.vcpus.push(vcpu);
        }
        clock.lap("entry");
        machine.phases = clock.laps;
        Ok(machine)
    }

    /// How long each part of the start took: machine and memory, what is loaded into it, its CPUs, their first entry.
    pub fn phases(&self) -> &[(&'static str, Duration)] {
        &self.phases
    }

    /// Of a machine with a terminal, once: what is written to it is typed there, and what to call when the person leaves.
    pub fn take_keyboard(&mut self) -> Option<(impl Write + Send + use<>, impl FnOnce() + Send + use<>)> {
        let ending = Arc::clone(&self.ending);
        let leave = move || ending.set(0, Why::Broken("the machine was left".into()), "");
        self.keyboard.take().map(|keyboard| (keyboard, leave))
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<(Why, String)> {
        self.ending.get()
    }

    /// Stops every CPU and waits for it; harmless when they have stopped.
    pub fn stop(&mut self) {
        self.stop.store(true, Release);
        // Not the first reason when the machine had ended by itself.
        self.ending.set(0, Why::Broken("the machine was stopped".into()), "");
        if self.vcpus.is_empty() {
            return;
        }
        for vcpu in self.vcpus.drain(..) {
            for (reason, count) in vcpu.join() {
                *self.exits.entry(reason.to_owned()).or_default() += count;
            }
        }
        self.exits.extend(statistics::read(&self.vm));
        self.exits.extend(self.traffic.counts());
    }

    /// Exits to this process by reason, what KVM counted, and what the channel carried; complete after [`Machine::stop`].
    pub fn exits(&self) -> &BTreeMap<String, u64> {
        &self.exits
    }
}

/// Splits a stretch of time into parts.
struct Clock {
    since: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Clock {
    fn start() -> Self {
        Self { since: Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self, name: &'static str) {
        self.laps.push((name, self.since.elapsed()));
        self.since = Instant::now();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a busy or small host lacks is contention; anything else is a fault.
fn scarce(e: kvm_ioctls::Error, what: &str) -> anyhow::Error {
    match e.errno() {
        libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::EBUSY | libc::EAGAIN => {
            anyhow::Error::new(ResourceContention::new(format!("{what}: {e}")))
        }
        _ => anyhow::Error::new(e).context(format!("{what} failed")),
    }
}

/// Host CPUs for every CPU of the machine, cache by cache.
fn reserve(locks: &Path, topology: &Topology) -> Result<Reservation> {
    let host = HostTopology::detect();
    let caches = topology.llc_cores().into_iter().zip(topology.llc_nodes());
    let guest: Vec<GuestLlc> = caches
        .map(|(cores, node)| GuestLlc { node: host.node_for(node), cpus: cores * topology.threads_per_core })
        .collect();
    Reservation::take(locks, &guest, host.caches())
}

fn map_memory(vm: &VmFd, regions: &[Region], huge: bool) -> Result<GuestMemoryMmap> {
    ensure!(
        regions.first().is_some_and(|r| r.end() > HIGH_RAM_START),
        "the first node has less than a mebibyte of memory"
    );
    let memory = if huge {
        let host = HostTopology::detect();
        huge::map(regions, |node| host.has_many_memory_nodes().then(|| host.node_for(node)))?
    } else {
        let ranges: Vec<(GuestAddress, usize)> =
            regions.iter().map(|r| Ok((GuestAddress(r.start), usize::try_from(r.size)?))).collect::<Result<_>>()?;
        GuestMemoryMmap::from_ranges(&ranges)
            .map_err(|e| anyhow::Error::new(ResourceContention::new(format!("no memory for the machine: {e}"))))?
    };
    for (slot, region) in (0u32..).zip(regions) {
        let host = memory.get_host_address(GuestAddress(region.start)).context("a region without a mapping")?;
        // A hint, which pages that are huge refuse; without it the guest's memory is mapped page by page where the host does not do so by itself.
        // SAFETY: the range is that of the mapping.
        unsafe { libc::madvise(host.cast(), usize::try_from(region.size)?, libc::MADV_HUGEPAGE) };
        let slot = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.start,
            memory_size: region.size,
            userspace_addr: host as u64,
        };
        // SAFETY: the mapping is as long as the region, and the machine keeps it until all CPUs have been joined.
        unsafe { vm.set_user_memory_region(slot) }.map_err(|e| scarce(e, "KVM_SET_USER_MEMORY_REGION"))?;
    }
    Ok(memory)
}

/// The controllers live in the kernel, but for the I/O APIC of a machine whose ids are too wide for it; the answer rings the
/// serial port's line.
fn interrupts(vm: &VmFd, topology: &Topology) -> Result<EventFd> {
    vm.set_tss_address(KVM_TSS).map_err(|e| scarce(e, "KVM_SET_TSS_ADDR"))?;
    vm.set_identity_map_address(KVM_IDENTITY_MAP).map_err(|e| scarce(e, "KVM_SET_IDENTITY_MAP_ADDR"))?;
    if needs_wide_ids(topology) {
        let split = kvm_enable_cap { cap: KVM_CAP_SPLIT_IRQCHIP, args: [PINS as u64, 0, 0, 0], ..Default::default() };
        vm.enable_cap(&split).map_err(|e| scarce(e, "KVM_CAP_SPLIT_IRQCHIP"))?;
        let flags = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
        let cap = kvm_enable_cap { cap: KVM_CAP_X2APIC_API, args: [u64::from(flags), 0, 0, 0], ..Default::default() };
        vm.enable_cap(&cap).context("this KVM cannot address APIC ids past 255")?;
    } else {
        vm.create_irq_chip().map_err(|e| scarce(e, "KVM_CREATE_IRQCHIP"))?;
    }
    if topology.total_cpus() > HostTopology::detect().cpus {
        // A CPU that polls for its guest's next wake-up takes the time of another that has work (Documentation/virt/kvm/
        // halt-polling.rst). A hint, too.
        let _ = vm.enable_cap(&kvm_enable_cap { cap: KVM_CAP_HALT_POLL, ..Default::default() });
    }
    let interrupt = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)
        .map_err(|e| anyhow::Error::new(ResourceContention::new(format!("no eventfd: {e}"))))?;
    vm.register_irqfd(&interrupt, COM1_IRQ).map_err(|e| scarce(e, "KVM_IRQFD"))?;
    Ok(interrupt)
}

fn needs_wide_ids(topology: &Topology) -> bool {
    layout_needs_wide_ids(topology, &ApicLayout::of(topology))
}

fn write_acpi(memory: &GuestMemoryMmap, topology: &Topology, regions: &[Region]) -> Result<()> {
    for table in acpi::build(topology, regions, ACPI) {
        let end = table.address + table.bytes.len() as u64;
        ensure!(end <= HIGH_RAM_START, "the ACPI tables of {topology} do not fit below the first mebibyte");
        memory.write_slice(&table.bytes, GuestAddress(table.address)).context("no memory for ACPI tables")?;
    }
    Ok(())
}

fn create_cpus(kvm: &Kvm, vm: &VmFd, topology: &Topology, entry: Entry) -> Result<Vec<VcpuFd>> {
    let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(|e| scarce(e, "KVM_GET_SUPPORTED_CPUID"))?;
    let vendor = vendor(supported.as_slice())?;
    let mut offered = supported.as_slice().to_vec();
    if !probe().sees_xcr0 {
        without_xsave(&mut offered);
    }
    let mode = if needs_wide_ids(topology) { ApicMode::X2Apic } else { ApicMode::XApic };
    let layout = ApicLayout::of(topology);
    let cpus = topology.total_cpus();
    let most = kvm.get_max_vcpus();
    ensure!(cpus as usize <= most, "{topology} has {cpus} CPUs, and this KVM runs at most {most}");
    (0..cpus)
        .map(|cpu| {
            let id = layout.apic_id(cpu).context("a CPU without an APIC id")?;
            let fd = vm.create_vcpu(u64::from(id)).map_err(|e| scarce(e, "KVM_CREATE_VCPU"))?;
            let leaves = cpuid(&offered, vendor, topology, cpu);
            let leaves = CpuId::from_entries(&leaves).map_err(|e| anyhow::anyhow!("list of CPUID leaves: {e:?}"))?;
            fd.set_cpuid2(&leaves).map_err(|e| scarce(e, "KVM_SET_CPUID2"))?;
            registers::prepare_any(&fd, cpu == 0, mode)?;
            if cpu == 0 {
                registers::prepare_first(&fd, entry)?;
            }
            Ok(fd)
        })
        .collect()
}

/// Leaf 0's name: EBX, EDX, ECX.
fn vendor(leaves: &[kvm_bindings::kvm_cpuid_entry2]) -> Result<CpuVendor> {
    let leaf = leaves.iter().find(|l| l.function == 0).context("KVM offers no CPUID leaf 0")?;
    let name: Vec<u8> = [leaf.ebx, leaf.edx, leaf.ecx].iter().flat_map(|r| r.to_le_bytes()).collect();
    match name.as_slice() {
        b"AuthenticAMD" | b"HygonGenuine" => Ok(CpuVendor::Amd),
        _ => Ok(CpuVendor::Intel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_verdict::{HostClass, classify_host_error};

    #[test]
    fn what_is_scarce_is_contention_and_what_is_wrong_is_not() {
        for errno in [libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EBUSY, libc::EAGAIN] {
            let class = classify_host_error(&scarce(kvm_ioctls::Error::new(errno), "KVM_CREATE_VM"), false);
            assert!(matches!(class, HostClass::Skip { .. }), "errno {errno}: {class:?}");
        }
        for errno in [libc::EINVAL, libc::EPERM, libc::ENODEV] {
            let class = classify_host_error(&scarce(kvm_ioctls::Error::new(errno), "KVM_CREATE_VM"), false);
            assert!(matches!(class, HostClass::NotHostClass), "errno {errno}: {class:?}");
        }
    }
}

//! From a [`VmConfig`] to QEMU's arguments. Pure.

use crate::accel::Accel;
use crate::cmdline::{Monitor, kernel_command_line};
use crate::config::VmConfig;
use ktstr_topology::{ApicLayout, Topology};
use ktstr_verdict::TopologyUnrepresentable;
use ktstr_wire::{PORT, PORT_READY};

/// File descriptors the child inherits under fixed numbers, far from what a runner has open.
pub(crate) const FD_CONSOLE: i32 = 200;
pub(crate) const FD_CHANNEL: i32 = 201;
pub(crate) const FD_INITRD: i32 = 202;
pub(crate) const FD_TIMES: i32 = 204;

/// Largest APIC id without interrupt remapping (SDM volume 3, 10.12: 8-bit destinations).
const MAX_APIC_ID: u32 = 254;

/// Virtual time: 2 ns for each instruction, so a CPU of 500 MIPS, and a jump where all CPUs are idle (QEMU: docs/devel/tcg-icount.rst).
/// Of the shifts 0 to 5 this one boots a stock kernel soonest.
const ICOUNT: &str = "shift=1,sleep=off";
/// The date of every simulated machine, and a clock that goes by virtual time.
const RTC: &str = "base=2026-01-01,clock=vm";

/// The whole argument list, the program's name aside.
///
/// # Errors
/// [`TopologyUnrepresentable`] for shapes QEMU's `-smp` has no words for.
pub fn qemu_arguments(config: &VmConfig, built: &Topology) -> Result<Vec<String>, TopologyUnrepresentable> {
    representable(built)?;
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|w| (*w).to_owned()));
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    // q35 knows dies, microvm does not. One thread: with several, live code patching of stock kernels oopses now and then.
    add(&["-machine", "q35", "-accel", "tcg,thread=single"]);
    let simulated = config.accel == Accel::Sim;
    if simulated {
        add(&["-icount", ICOUNT, "-rtc", RTC, "-seed", &config.seed.to_string()]);
    }
    // Only an Intel guest derives caches and dies from the leaves QEMU synthesises.
    let l3 = if built.llc_level() == 3 { "" } else { ",l3-cache=off" };
    let chance = if simulated { ",-rdrand,-rdseed" } else { "" };
    add(&["-cpu", &format!("max,vendor=GenuineIntel{l3}{chance}")]);
    let (nodes, llcs) = (built.numa_nodes, built.llcs);
    let dies = llcs / nodes;
    add(&[
        "-smp",
        &format!(
            "{},sockets={nodes},dies={dies},cores={},threads={}",
            built.total_cpus(),
            built.cores_per_llc,
            built.threads_per_core
        ),
    ]);
    // Each node needs the same whole number of MiB.
    let memory = config.memory_mib.next_multiple_of(nodes);
    add(&["-m", &format!("{memory}M")]);
    if nodes > 1 {
        for node in 0..nodes {
            add(&["-object", &format!("memory-backend-ram,id=m{node},size={}M", memory / nodes)]);
            add(&["-numa", &format!("node,nodeid={node},memdev=m{node}")]);
            add(&["-numa", &format!("cpu,node-id={node},socket-id={node}")]);
        }
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from) {
                add(&["-numa", &format!("dist,src={from},dst={to},val={}", built.distance(from, to))]);
            }
        }
    }
    let console = if config.terminal {
        // Signals are the terminal's, and the terminal is not QEMU's.
        "stdio,id=console,signal=off".to_owned()
    } else {
        format!("file,id=console,path=/proc/self/fd/{FD_CONSOLE}")
    };
    add(&["-chardev", &console, "-serial", "chardev:console"]);
    // A debug port takes what string output gives it, without a driver, an interrupt or a baud rate.
    add(&["-chardev", &format!("file,id=channel,path=/proc/self/fd/{FD_CHANNEL}")]);
    add(&["-device", &format!("isa-debugcon,iobase={PORT:#x},readback={PORT_READY:#x},chardev=channel")]);
    add(&["-kernel", &config.kernel.to_string_lossy(), "-initrd", &format!("/proc/self/fd/{FD_INITRD}")]);
    add(&["-append", &kernel_command_line(config, Monitor::Qemu)]);
    if let Some(place) = &config.gdb {
        // Only this host may connect: a debugger can do anything with the process.
        let listen = match place.parse::<u16>() {
            Ok(port) => format!("tcp:127.0.0.1:{port}"),
            Err(_) => format!("unix:{},server=on,wait=off", place.replace(',', ",,")),
        };
        add(&["-gdb", &listen, "-S"]);
    }
    Ok(args)
}

fn representable(t: &Topology) -> Result<(), TopologyUnrepresentable> {
    let refuse = |what: &str| Err(TopologyUnrepresentable::new(format!("{t} with {what}: QEMU has no words for it")));
    if t.has_unequal_llcs() {
        return refuse("caches of unequal size");
    }
    if t.nodes().is_some() {
        return refuse("explicit nodes");
    }
    // Without an L3, QEMU's L2 is each core's own (target/i386/cpu.c, leaf 4).
    if t.llc_level() < 3 && t.cores_per_llc > 1 {
        return refuse("an L2 that several cores share");
    }
    let last = ApicLayout::of(t).apic_id(t.total_cpus() - 1).unwrap_or(u32::MAX);
    if last > MAX_APIC_ID {
        return refuse(&format!("APIC id {last}, above {MAX_APIC_ID}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_of_two_caches() {
        let topology: Topology = "2n4l2c2t".parse().unwrap();
        let config = VmConfig { memory_mib: 1001, ..VmConfig::default() };
        insta::assert_snapshot!(qemu_arguments(&config, &topology).unwrap().join("\n"));
    }

    #[test]
    fn a_simulated_machine_has_its_own_time_and_chance() {
        let config = VmConfig { accel: Accel::Sim, seed: 7, ..VmConfig::default() };
        let line = qemu_arguments(&config, &config.topology).unwrap().join(" ");
        for part in [
            "-accel tcg,thread=single",
            "-icount shift=1,sleep=off",
            "-rtc base=2026-01-01,clock=vm",
            "-seed 7",
            "vendor=GenuineIntel,-rdrand,-rdseed",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        // Nothing else of this attempt shows, and no other accelerator's machine has any of it.
        let again = VmConfig { nonce: ktstr_wire::Nonce(9), verbose: true, ..config.clone() };
        assert_eq!(qemu_arguments(&again, &again.topology).unwrap().join(" "), line);
        let translated = VmConfig { accel: Accel::Tcg, ..config };
        let line = qemu_arguments(&translated, &translated.topology).unwrap().join(" ");
        assert!(["-icount", "-rtc", "-seed", "-rdrand"].iter().all(|part| !line.contains(part)), "{line}");
    }

    #[test]
    fn a_debugger_is_waited_for_on_this_host_alone() {
        let line = |place: &str| {
            let config = VmConfig { gdb: Some(place.into()), ..VmConfig::default() };
            qemu_arguments(&config, &config.topology).unwrap().join(" ")
        };
        assert!(line("1234").ends_with("-gdb tcp:127.0.0.1:1234 -S"), "{}", line("1234"));
        assert!(line("/a,b").ends_with("-gdb unix:/a,,b,server=on,wait=off -S"), "{}", line("/a,b"));
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let unequal = Topology::new(1, 2, 4, 1).unwrap().with_llc_cores(vec![1, 4]).unwrap();
        let large = Topology::new(1, 16, 16, 2).unwrap();
        for shape in [unequal, large] {
            assert!(qemu_arguments(&VmConfig::default(), &shape).is_err(), "{shape}");
        }
    }
}

//! CPUs taken offline and interrupts steered, both put back at the end (kernel: Documentation/core-api/cpu_hotplug.rst,
//! Documentation/core-api/irq/irq-affinity.rst).

use crate::chaos;
use anyhow::{Context as _, Result};
use ktstr_topology::cpu_list;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What must be undone; dropping it undoes it.
#[derive(Debug, Default)]
pub struct Machine {
    offline: BTreeSet<u32>,
    steered: BTreeMap<u32, String>,
}

impl Machine {
    /// Takes a CPU down or brings it back.
    pub fn set_online(&mut self, cpu: u32, online: bool) -> Result<()> {
        chaos::belongs_to_the_test();
        // Remembered first: a write that fails half-way must be undone as well.
        self.offline.insert(cpu);
        switch(cpu, online)?;
        if online {
            self.offline.remove(&cpu);
        }
        Ok(())
    }

    /// Has an interrupt handled by these CPUs.
    pub fn steer(&mut self, irq: u32, cpus: &[u32]) -> Result<()> {
        let path = irq_file(irq);
        let before = fs::read_to_string(&path)
            .with_context(|| format!("this machine has no interrupt {irq} ({path}); /proc/interrupts lists them"))?;
        self.steered.entry(irq).or_insert_with(|| before.trim().to_owned());
        fs::write(&path, cpu_list(cpus)).with_context(|| format!("interrupt {irq} cannot be steered to CPUs {cpus:?}"))
    }

    /// Puts everything back.
    pub fn restore(&mut self) -> Result<()> {
        let mut trouble = Ok(());
        for cpu in std::mem::take(&mut self.offline) {
            trouble = trouble.and(switch(cpu, true));
        }
        for (irq, cpus) in std::mem::take(&mut self.steered) {
            let put_back = fs::write(irq_file(irq), &cpus);
            trouble =
                trouble.and(put_back.with_context(|| format!("interrupt {irq} cannot be put back on CPUs {cpus}")));
        }
        trouble
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.restore();
    }
}

/// One CPU on or off.
pub fn switch(cpu: u32, online: bool) -> Result<()> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
    fs::write(&path, if online { "1" } else { "0" }).with_context(|| {
        format!("failed to take CPU {cpu} {} by {path}", if online { "back online" } else { "offline" })
    })
}

fn irq_file(irq: u32) -> String {
    format!("/proc/irq/{irq}/smp_affinity_list")
}

//! /proc/schedstat (kernel: Documentation/scheduler/sched-stats.rst), versions 15 to 17, which agree on the `cpuN` lines.

/// What has happened on one CPU since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// The CPU.
    pub cpu: u32,
    /// Time that tasks ran on it, ns.
    pub run_ns: u64,
    /// Time that tasks waited for it, ns.
    pub run_delay_ns: u64,
}

/// Fields of a `cpuN` line before the time that tasks ran (field 7 of the documentation).
const BEFORE_RUN: usize = 6;

/// Every CPU that is online.
pub fn cpu_times(text: &str) -> Result<Vec<CpuTime>, String> {
    let mut cpus: Vec<CpuTime> = Vec::new();
    for line in text.lines() {
        let Some((cpu, rest)) = line.strip_prefix("cpu").and_then(|l| l.split_once(' ')) else { continue };
        let mut numbers = rest.split_ascii_whitespace().skip(BEFORE_RUN).map(str::parse::<u64>);
        let (Ok(cpu), Some(Ok(run_ns)), Some(Ok(run_delay_ns))) = (cpu.parse(), numbers.next(), numbers.next()) else {
            return Err(format!("`{line}` has no times"));
        };
        if cpus.iter().any(|c| c.cpu == cpu) {
            return Err(format!("CPU {cpu} is there twice"));
        }
        cpus.push(CpuTime { cpu, run_ns, run_delay_ns });
    }
    if cpus.is_empty() { Err("no cpuN line".to_owned()) } else { Ok(cpus) }
}

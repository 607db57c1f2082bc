//! /sys/kernel/debug/sched/debug (kernel/sched/debug.c, print_cpu).

/// One CPU's run queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunQueue {
    /// The CPU.
    pub cpu: u32,
    /// Tasks on it, of all classes, the running one included.
    pub tasks: u64,
    /// Its clock, ns.
    pub clock_ns: u64,
    /// Process that runs; 0 for none.
    pub running_pid: u32,
}

/// Every CPU that is online.
pub fn run_queues(text: &str) -> Result<Vec<RunQueue>, String> {
    let mut queues: Vec<RunQueue> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        // Only the heading of a CPU stands at the left margin like this.
        let Some(rest) = line.strip_prefix("cpu#") else { continue };
        let cpu: u32 = rest
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| format!("`{line}` has no number"))?;
        if queues.iter().any(|q| q.cpu == cpu) {
            return Err(format!("CPU {cpu} is there twice"));
        }
        // Its own values follow, up to the first empty line.
        let block: Vec<&str> = lines.by_ref().take_while(|l| !l.trim().is_empty()).collect();
        let value = |name: &str| {
            let found = block.iter().find_map(|l| l.trim_start().strip_prefix(name)?.trim_start().strip_prefix(':'));
            found.map(str::trim).ok_or_else(|| format!("CPU {cpu} has no `{name}`"))
        };
        let wrong = |name: &str| format!("CPU {cpu}: `{name}` is not a number");
        queues.push(RunQueue {
            cpu,
            tasks: value(".nr_running")?.parse().map_err(|_| wrong(".nr_running"))?,
            clock_ns: nanos(value(".clock")?).ok_or_else(|| wrong(".clock"))?,
            running_pid: value(".curr->pid")?.parse().map_err(|_| wrong(".curr->pid"))?,
        });
    }
    if queues.is_empty() { Err("no cpu#N section".to_owned()) } else { Ok(queues) }
}

/// Milliseconds with six places (SPLIT_NS).
fn nanos(text: &str) -> Option<u64> {
    let (ms, ns) = text.split_once('.')?;
    let digits = ns.len() == 6 && ns.bytes().all(|b| b.is_ascii_digit());
    let ns: u64 = ns.parse().ok().filter(|_| digits)?;
    ms.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(ns)
}

//! The debug dump of `sched_ext`, as its trace event gives it line by line (kernel/sched/ext.c, scx_dump_state).

/// What stands between a line of trace and a line of the dump.
const EVENT: &str = ": sched_ext_dump: ";
/// `SCX_DSQ_LOCAL`: built-in (bit 63), number 2 (kernel/sched/ext_internal.h, scx_dsq_id_flags).
const LOCAL: &str = "dsq_id=0x8000000000000002";
/// What the kernel writes where a reader was too slow (kernel/trace/trace.c).
const LOST: &str = "LOST";

/// Tasks in the local dispatch queue of each CPU that is named; a CPU that is not has nothing to run.
pub fn local_depths(trace: &str) -> Result<Vec<(u32, u64)>, String> {
    if trace.lines().any(|l| l.contains(LOST) && !l.contains(EVENT)) {
        return Err("lines of the dump were lost".to_owned());
    }
    let mut lines = trace.lines().filter_map(|l| Some(l.split_once(EVENT)?.1));
    if !lines.any(|l| l.trim_end() == "CPU states") {
        return Err("no dump".to_owned());
    }
    let mut depths: Vec<(u32, u64)> = Vec::new();
    for line in lines {
        if line.trim_end() == "Event counters" {
            return Ok(depths);
        }
        if let Some(rest) = line.strip_prefix("CPU ") {
            let cpu = rest.split_once(':').and_then(|(cpu, _)| cpu.trim().parse().ok());
            let cpu = cpu.ok_or_else(|| format!("`{line}` has no number"))?;
            if depths.iter().any(|(seen, _)| *seen == cpu) {
                return Err(format!("CPU {cpu} is there twice"));
            }
            depths.push((cpu, 0));
        } else if line.split_ascii_whitespace().any(|word| word == LOCAL) {
            let (_, depth) = depths.last_mut().ok_or("a task before the first CPU")?;
            *depth += 1;
        }
    }
    Err("the dump has no end".to_owned())
}

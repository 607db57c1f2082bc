//! How old this process is.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Field of /proc/PID/stat that holds the process's start in clock ticks since boot, counted behind the name (proc_pid_stat(5):
/// field 22; the name, field 2, may hold anything).
const START_TIME: usize = 22 - 3;

/// Time since its exec, to a clock tick (10 ms), never less than it is.
pub fn process_age() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let start = started(&stat, rustix::param::clock_ticks_per_second())?;
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    now.checked_sub(start)
}

fn started(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, behind_the_name) = stat.rsplit_once(')')?;
    let ticks: u64 = behind_the_name.split_ascii_whitespace().nth(START_TIME)?.parse().ok()?;
    let nanoseconds = 1_000_000_000_u64.checked_div(ticks_per_second)?;
    Some(Duration::from_nanos(ticks.checked_mul(nanoseconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_what_separates_fields() {
        let fields: Vec<String> = (3..=52).map(|n| (n * 100).to_string()).collect();
        let stat = format!("7 (a) 5 (b)) {}\n", fields.join(" "));
        assert_eq!(started(&stat, 100), Some(Duration::from_secs(22)));
        assert_eq!(started("7 (a", 100), None);
        assert_eq!(started(&stat, 0), None);
    }

    #[test]
    fn this_process_is_older_than_this_test_and_younger_than_the_machine() {
        let start = std::time::Instant::now();
        let age = process_age().unwrap();
        assert!(age + Duration::from_millis(10) > start.elapsed());
        let up = clock_gettime(ClockId::Boottime).tv_sec;
        assert!(age.as_secs() <= up.unsigned_abs());
    }
}

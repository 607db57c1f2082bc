//! How fast the host's time stamp counter runs.

use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;
use std::time::Duration;

/// Between the two readings: the clock's own grain, and what a reading may be late, are then below a thousandth.
const APART: Duration = Duration::from_millis(10);
/// Tries for a reading that nothing came between.
const TRIES: usize = 16;

/// kHz of the host's counter; `None` where the two readings say nothing plausible (100 MHz to 10 GHz).
///
/// A guest under TCG reads this counter, and a stock kernel that has to find out its rate by itself does so against a timer that
/// QEMU delivers late on a busy host: its clock then runs several times too fast or too slow.
pub(crate) fn tsc_khz() -> Option<u64> {
    static KHZ: OnceLock<Option<u64>> = OnceLock::new();
    *KHZ.get_or_init(|| {
        let (tsc, ns) = reading()?;
        std::thread::sleep(APART);
        let (later_tsc, later_ns) = reading()?;
        rate(later_tsc.checked_sub(tsc)?, later_ns.checked_sub(ns)?)
    })
}

fn rate(ticks: u64, ns: u64) -> Option<u64> {
    let khz = u128::from(ticks) * 1_000_000 / u128::from(ns.max(1));
    u64::try_from(khz).ok().filter(|khz| (100_000..=10_000_000).contains(khz))
}

/// Counter and clock (ns) at one instant: of several tries the one that took least.
fn reading() -> Option<(u64, u64)> {
    let tries = (0..TRIES).filter_map(|_| {
        let before = rdtsc();
        let clock = clock_gettime(ClockId::MonotonicRaw);
        let after = rdtsc();
        let ns = u64::try_from(clock.tv_sec).ok()? * 1_000_000_000 + u64::try_from(clock.tv_nsec).ok()?;
        let took = after.checked_sub(before)?;
        Some((took, (before + took / 2, ns)))
    });
    tries.min_by_key(|(took, _)| *took).map(|(_, reading)| reading)
}

fn rdtsc() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction, and Linux lets user space execute it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_ticks_by_time_and_nothing_implausible() {
        assert_eq!(rate(25_000_000, 10_000_000), Some(2_500_000));
        assert_eq!((rate(0, 10_000_000), rate(1_000_000_000, 10_000_000)), (None, None));
    }

    #[test]
    fn two_measurements_agree_to_a_hundredth() {
        let measure = || {
            let (tsc, ns) = reading().unwrap();
            std::thread::sleep(APART);
            let (later_tsc, later_ns) = reading().unwrap();
            rate(later_tsc - tsc, later_ns - ns).unwrap()
        };
        let (one, other) = (measure(), measure());
        assert!(one.abs_diff(other) * 100 <= one, "{one} {other}");
    }
}

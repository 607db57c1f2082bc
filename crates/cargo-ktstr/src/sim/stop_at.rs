//! Stops a simulated machine at an instant of its own time, and leaves it to a debugger.
//!
//! QEMU knows no breakpoint in time. But a CPU that runs hears from its timer, and where that interrupt begins can be read from the
//! kernel's image: the first one at or after the instant is where the machine stops. A machine of one CPU goes on from a stop as if
//! there had been none; of several, the others run on until QEMU has heard of the stop, and the run is another from there.

use super::remote::Remote;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::Path;
use std::time::Duration;

/// Vector of the local timer's interrupt (kernel: arch/x86/include/asm/irq_vectors.h, `LOCAL_TIMER_VECTOR`).
const TIMER_VECTOR: u32 = 0xec;
/// What follows it in an entry, before the address: code segment of the kernel (`__KERNEL_CS`), kind of gate (interrupt,
/// present), padding (arch/x86/include/asm/desc_defs.h, `struct idt_data`; arch/x86/kernel/idt.c, `INTG`).
const KERNEL_GATE: [u8; 12] = [0x10, 0, 0, 0, 0x00, 0x8e, 0, 0, 0, 0, 0, 0];
/// Where the kernel's own addresses begin (`__START_KERNEL_map`).
const KERNEL_BEGINS: u64 = 0xffff_ffff_8000_0000;
/// I/O port of the ACPI timer of q35 (QEMU: `ICH9_PMIO` and 8).
const TIMER_PORT: u16 = 0x608;
/// Its rate in Hz, and how many of its bits count (ACPI 6.5, 4.8.3.3).
const TIMER_HZ: u64 = 3_579_545;
const TIMER_MASK: u64 = 0xff_ffff;

/// Where the timer's interrupt begins in a kernel.
///
/// # Errors
/// An image that does not say so: a compressed one.
pub fn timer_interrupt(kernel: &Path) -> Result<u64> {
    let image = std::fs::read(kernel).with_context(|| format!("failed to read {}", kernel.display()))?;
    timer_entry(&image).with_context(|| {
        format!("{} does not say where its timer's interrupt begins; --at needs a plain vmlinux", kernel.display())
    })
}

/// Runs the machine behind `remote` up to the first timer interrupt at or after `at`, counted from power-on; the answer is when
/// that was.
///
/// # Errors
/// A machine that ends before, a debugger's stub that answers otherwise than QEMU's.
pub fn stop_at(remote: &mut Remote, interrupt: u64, at: Duration) -> Result<Duration> {
    let mut clock = Clock::default();
    remote.breakpoint(interrupt, true)?;
    loop {
        remote.go_on().with_context(|| format!("the machine ended before {:.3} s of its time", at.as_secs_f64()))?;
        let now = clock.read(timer(&remote.monitor(&format!("i /xw {TIMER_PORT:#x}"))?)?);
        if now >= at {
            remote.breakpoint(interrupt, false)?;
            return Ok(now);
        }
    }
}

/// From the table that the kernel fills its interrupt descriptors from (`apic_idts`): vector, gate, address.
fn timer_entry(image: &[u8]) -> Result<u64> {
    let mut wanted = TIMER_VECTOR.to_le_bytes().to_vec();
    wanted.extend_from_slice(&KERNEL_GATE);
    let mut found: Vec<u64> = image
        .windows(wanted.len() + 8)
        .filter(|window| window.starts_with(&wanted))
        .filter_map(|window| Some(u64::from_le_bytes(window.get(wanted.len()..)?.try_into().ok()?)))
        .filter(|address| *address > KERNEL_BEGINS)
        .collect();
    found.dedup();
    match found[..] {
        [one] => Ok(one),
        [] => bail!("it has no entry for vector {TIMER_VECTOR:#x}"),
        [..] => bail!("it has {} entries for vector {TIMER_VECTOR:#x}", found.len()),
    }
}

/// `port[0x0608] = 0x0012abcd`, as QEMU's monitor says it.
fn timer(said: &str) -> Result<u64> {
    let number = said.trim().rsplit_once("= 0x").and_then(|(_, hex)| u64::from_str_radix(hex.trim(), 16).ok());
    let number = number.with_context(|| format!("QEMU's monitor says `{}` for its timer", said.trim()))?;
    ensure!(number <= TIMER_MASK, "QEMU's timer has more bits than it should: {number:#x}");
    Ok(number)
}

/// The ACPI timer, whose bits are used up after 4.7 s: longer than the 4 s in which each CPU's timer looks for a lockup.
#[derive(Debug, Default)]
struct Clock {
    ticks: u64,
}

impl Clock {
    fn read(&mut self, bits: u64) -> Duration {
        self.ticks += bits.wrapping_sub(self.ticks) & TIMER_MASK;
        Duration::from_nanos(
            u64::try_from(u128::from(self.ticks) * 1_000_000_000 / u128::from(TIMER_HZ)).unwrap_or(u64::MAX),
        )
    }
}

/// `2.5s`, `131ms`, or plain seconds.
pub fn parse_instant(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a time: use `2.5s` or `131ms`");
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    let seconds: f64 = number.parse().map_err(|_| bad())?;
    Duration::try_from_secs_f64(seconds * unit).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{BufReader, Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};

    proptest! {
        #[test]
        fn a_clock_that_is_read_in_time_never_loses_a_round(steps in prop::collection::vec(0u64..TIMER_MASK, 1..50)) {
            let (mut clock, mut ticks) = (Clock::default(), 0u64);
            for step in steps {
                ticks += step;
                let read = clock.read(ticks & TIMER_MASK);
                prop_assert_eq!(clock.ticks, ticks);
                prop_assert!((read.as_secs_f64() - ticks as f64 / 3_579_545.0).abs() < 1e-6);
            }
        }
    }

    /// A stub whose machine stops once in so many ticks of its timer; it ends with the last of `stops`.
    fn stub(listener: &UnixListener, stops: u64, ticks: u64) {
        let (mut stream, _) = listener.accept().unwrap();
        let say = |stream: &mut UnixStream, body: &str| {
            let sum = body.bytes().fold(0u8, u8::wrapping_add);
            write!(stream, "+${body}#{sum:02x}").unwrap();
        };
        let (mut heard, mut now) = (String::new(), 0);
        let mut bytes = BufReader::new(stream.try_clone().unwrap()).bytes();
        while let Some(Ok(byte)) = bytes.next() {
            heard.push(char::from(byte));
            // Up to the packet's end, whose checksum is two digits that nothing here looks at.
            let Some((_, body)) = heard
                .trim_end_matches(|c: char| c.is_ascii_hexdigit())
                .strip_suffix('#')
                .and_then(|h| h.split_once('$'))
            else {
                continue;
            };
            match body {
                "c" if now == stops * ticks => return,
                "c" => {
                    now += ticks;
                    say(&mut stream, "T05thread:01;");
                }
                body if body.starts_with("qRcmd") => {
                    let line = format!("port[0x0608] = {:#010x}\r\n", now & TIMER_MASK);
                    let hex: String = line.bytes().map(|b| format!("{b:02x}")).collect();
                    say(&mut stream, &format!("O{hex}"));
                    say(&mut stream, "OK");
                }
                _ => say(&mut stream, "OK"),
            }
            heard.clear();
        }
    }

    #[test]
    fn a_machine_stops_at_the_first_interrupt_from_the_instant_on_and_one_that_ends_before_is_an_error() {
        // 4 ms from stop to stop, 10 s in all: the timer's bits are used up twice.
        const TICKS: u64 = 14_318;
        let dir = tempfile::tempdir().unwrap();
        let run = |at: Duration| {
            let place = dir.path().join("stub");
            let listener = UnixListener::bind(&place).unwrap();
            let machine = std::thread::spawn(move || stub(&listener, 2500, TICKS));
            let mut remote = Remote::connect(place.to_str().unwrap()).unwrap();
            let stopped = stop_at(&mut remote, 0xffff_ffff_8100_0000, at);
            drop(remote);
            machine.join().unwrap();
            std::fs::remove_file(&place).unwrap();
            stopped
        };
        for ms in [0, 131, 5000, 9900] {
            let at = Duration::from_millis(ms);
            let late = run(at).unwrap().saturating_sub(at);
            assert!(late <= Duration::from_micros(4001), "{late:?} late");
        }
        let why = format!("{:#}", run(Duration::from_secs(11)).unwrap_err());
        assert!(why.contains("the machine ended before 11.000 s of its time"), "{why}");
    }

    #[test]
    fn the_timer_s_entry_is_found_once_or_not_at_all() {
        let entry = |vector: u8, address: u64| [&[vector, 0, 0, 0][..], &KERNEL_GATE, &address.to_le_bytes()].concat();
        let image = |entries: &[Vec<u8>]| [&[1, 2, 3][..], &entries.concat()].concat();
        let address = 0xffff_ffff_8120_0abc;
        assert_eq!(timer_entry(&image(&[entry(0xeb, address + 1), entry(0xec, address)])).unwrap(), address);
        for bad in [image(&[]), image(&[entry(0xec, 7)]), image(&[entry(0xec, address), entry(0xec, address + 1)])] {
            assert!(timer_entry(&bad).is_err());
        }
    }

    #[test]
    fn what_the_monitor_says_is_a_number_or_an_error() {
        assert_eq!(timer("port[0x0608] = 0x0012abcd\r\n").unwrap(), 0x12_abcd);
        assert!(timer("unknown command: 'i'").is_err() && timer("port[0x0608] = 0x01000000").is_err());
    }

    #[test]
    fn an_instant_is_in_seconds_or_milliseconds() {
        let of = |text: &str| parse_instant(text).map(|d| d.as_micros());
        assert_eq!((of("2.5s"), of("131ms"), of("3")), (Ok(2_500_000), Ok(131_000), Ok(3_000_000)));
        assert!(["", "s", "-1s", "soon", "nan"].into_iter().all(|bad| parse_instant(bad).is_err()));
    }
}

//! The kernel's log, read to its end and sent in pieces (kernel: Documentation/ABI/testing/dev-kmsg).

use crate::link::Link;
use ktstr_scenario::dmesg::LOST;
use ktstr_wire::Message;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

/// Bytes of log in one frame.
const PIECE: usize = 32 << 10;

/// Sends everything the kernel has logged.
///
/// What could not be read is said in a line of its own, and the host does not take such a log for a good one.
pub fn send_all(link: &Link) {
    let Ok(mut kmsg) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg") else {
        return;
    };
    let mut record = [0u8; 8192];
    let mut piece = String::new();
    let mut expected = 0;
    loop {
        match kmsg.read(&mut record) {
            Ok(0) => break,
            Ok(n) => {
                let (text, next) = take(&String::from_utf8_lossy(&record[..n]), expected);
                piece.push_str(&text);
                expected = next;
            }
            // Records were overwritten before they were read; the next one's number says how many.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) || e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) => {
                piece.push_str(&format!("{LOST}: /dev/kmsg: {e})\n"));
                break;
            }
        }
        if piece.len() >= PIECE {
            link.send(&Message::Console(std::mem::take(&mut piece)));
        }
    }
    if !piece.is_empty() {
        link.send(&Message::Console(piece));
    }
}

/// The lines for one record, and the number the next one must have: the kernel counts its records from 0.
fn take(record: &str, expected: u64) -> (String, u64) {
    let number = record.split(',').nth(1).and_then(|n| n.parse::<u64>().ok());
    let Some(number) = number else {
        return (format!("{LOST}: a record without a number)\n"), expected);
    };
    let mut text = String::new();
    if number != expected {
        text.push_str(&format!("{LOST}: record {number} came where {expected} was due)\n"));
    }
    if let Some(line) = line_of(record) {
        text.push_str(&line);
        text.push('\n');
    }
    (text, number.wrapping_add(1))
}

/// `PRIORITY,SEQUENCE,TIME_US,FLAGS;TEXT` as `[seconds] text`; `None` for records of user space, which are not the kernel's word.
fn line_of(record: &str) -> Option<String> {
    let (prefix, text) = record.split_once(';')?;
    let mut fields = prefix.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    // The facility lies above the low three bits; 0 is the kernel (syslog(2)).
    if priority >> 3 != 0 {
        return None;
    }
    let text = text.lines().next().unwrap_or_default();
    Some(format!("[{:5}.{:06}] {text}", micros / 1_000_000, micros % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_record_becomes_a_line_and_user_space_s_is_left_out() {
        let record = "4,339,5140900,-;WARNING: CPU: 0\n SUBSYSTEM=acpi\n";
        assert_eq!(line_of(record).as_deref(), Some("[    5.140900] WARNING: CPU: 0"));
        assert_eq!(line_of("12,1,5,-;from user space\n"), None);
        assert_eq!(line_of("garbage"), None);
    }

    #[test]
    fn records_that_are_missing_are_said_where_they_are_missing() {
        assert_eq!(take("6,0,0,-;Linux version 6.18\n", 0), ("[    0.000000] Linux version 6.18\n".to_owned(), 1));
        assert_eq!(take("12,1,5,-;from user space\n", 1), (String::new(), 2));
        let (text, next) = take("6,7,5,-;later\n", 2);
        assert_eq!(
            (text.lines().next(), next),
            (Some("(kernel log lines were lost: record 7 came where 2 was due)"), 8)
        );
        assert!(take("garbage", 3).0.starts_with(LOST));
    }
}

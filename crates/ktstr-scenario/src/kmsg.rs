//! The kernel's log, record by record (kernel: Documentation/ABI/testing/dev-kmsg).

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

/// Says that records were overwritten before they were read.
const LOST: &str = "(kernel log lines were lost)";

/// Gives every line that the kernel has logged to `take`, oldest first, as `[seconds] text`.
///
/// A log that overflowed has lost its first lines, and says so in one of its own; a log that cannot be opened has no line.
pub fn each_line(mut take: impl FnMut(&str)) {
    let Ok(mut kmsg) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg") else {
        return;
    };
    let mut record = [0u8; 8192];
    loop {
        match kmsg.read(&mut record) {
            Ok(0) => break,
            Ok(n) => {
                if let Some(line) = line_of(&String::from_utf8_lossy(&record[..n])) {
                    take(&line);
                }
            }
            // The next read goes on behind them.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => take(LOST),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
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
}

//! The kernel's log, record by record (kernel: Documentation/ABI/testing/dev-kmsg).

use crate::dmesg::LOST;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

/// The kernel's log.
pub const PATH: &str = "/dev/kmsg";

/// A place in the log, from which it is read to its end, and later on.
#[derive(Debug)]
pub struct Reader(File);

impl Reader {
    /// At the oldest record that is kept.
    ///
    /// # Errors
    /// A log that cannot be opened.
    pub fn from_start() -> io::Result<Self> {
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(PATH).map(Self)
    }

    /// Behind the newest record.
    ///
    /// # Errors
    /// A log that cannot be opened.
    pub fn from_now() -> io::Result<Self> {
        let mut log = Self::from_start()?;
        log.0.seek(SeekFrom::End(0))?;
        Ok(log)
    }

    /// The next record as it is, `PRIORITY,SEQUENCE,TIME_US,FLAGS;TEXT`; `None` at the end.
    ///
    /// # Errors
    /// EPIPE: records were overwritten before they were read, and reading goes on behind them. Anything else: no log any more.
    pub fn next_record(&mut self) -> io::Result<Option<String>> {
        let mut record = [0u8; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return Ok(None),
                Ok(n) => return Ok(Some(String::from_utf8_lossy(&record[..n]).into_owned())),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// The text of a record, whoever wrote it.
#[must_use]
pub fn text_of(record: &str) -> &str {
    record.split_once(';').map_or(record, |(_, text)| text).lines().next().unwrap_or_default()
}

/// Gives every line that the kernel has logged to `take`, oldest first, as `[seconds] text`.
///
/// What could not be read is said in a line of its own, and nobody takes such a log for a good one; a log that cannot be opened
/// has no line.
pub fn each_line(mut take: impl FnMut(&str)) {
    let Ok(mut log) = Reader::from_start() else { return };
    let mut expected = 0;
    loop {
        match log.next_record() {
            Ok(None) => break,
            Ok(Some(record)) => {
                let (lines, next) = lines_of(&record, expected);
                lines.iter().for_each(|line| take(line));
                expected = next;
            }
            // The next record's number says how many are missing.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
            Err(e) => {
                take(&format!("{LOST}: {PATH}: {e})"));
                break;
            }
        }
    }
}

/// The lines for one record, and the number the next one must have: the kernel counts its records from 0.
fn lines_of(record: &str, expected: u64) -> (Vec<String>, u64) {
    let number = record.split(',').nth(1).and_then(|n| n.parse::<u64>().ok());
    let Some(number) = number else {
        return (vec![format!("{LOST}: a record without a number)")], expected);
    };
    let mut lines = Vec::new();
    if number != expected {
        lines.push(format!("{LOST}: record {number} came where {expected} was due)"));
    }
    lines.extend(line_of(record));
    (lines, number.wrapping_add(1))
}

/// `PRIORITY,SEQUENCE,TIME_US,FLAGS;TEXT` as `[seconds] text`; `None` for records of user space, which are not the kernel's word.
fn line_of(record: &str) -> Option<String> {
    let (prefix, _) = record.split_once(';')?;
    let mut fields = prefix.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    // The facility lies above the low three bits; 0 is the kernel (syslog(2)).
    if priority >> 3 != 0 {
        return None;
    }
    let text = text_of(record);
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
        assert_eq!(
            lines_of("6,0,0,-;Linux version 6.18\n", 0),
            (vec!["[    0.000000] Linux version 6.18".to_owned()], 1)
        );
        assert_eq!(lines_of("12,1,5,-;from user space\n", 1), (Vec::new(), 2));
        let (lines, next) = lines_of("6,7,5,-;later\n", 2);
        assert_eq!((lines[0].as_str(), next), ("(kernel log lines were lost: record 7 came where 2 was due)", 8));
        assert!(lines_of("garbage", 3).0[0].starts_with(LOST));
    }
}

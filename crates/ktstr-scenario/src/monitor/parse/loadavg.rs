//! /proc/loadavg (proc_loadavg(5)): `0.08 0.02 0.01 16/111 181`.

/// Tasks that run or could run, the reader included.
pub fn runnable(text: &str) -> Result<u64, String> {
    let field = text.split_ascii_whitespace().nth(3).and_then(|f| f.split_once('/'));
    field.and_then(|(n, _)| n.parse().ok()).ok_or_else(|| "no RUNNABLE/TOTAL field".to_owned())
}

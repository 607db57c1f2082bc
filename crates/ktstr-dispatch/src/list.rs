//! `--list --format terse`: the names, through one buffer.

use crate::catalogue::Catalogue;
use crate::measured::Measured;
use crate::verifier::Cell;
use ktstr_budget::{Secs, select, stats};
use std::collections::HashSet;
use std::io::Write;

/// Bytes gathered before each write: as much as a pipe holds by default (`pipe(7)`), so that the reader works meanwhile.
const CHUNK: usize = 64 * 1024;

/// Writes `NAME: test` lines; with `ignored_only` just the ignored ones.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_names(catalogue: &Catalogue<'_>, ignored_only: bool, out: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK + 1024);
    let mut result = Ok(());
    catalogue.visit(|item| {
        if ignored_only && !item.ignored() || result.is_err() {
            return;
        }
        item.push_name(&mut buffer);
        buffer.extend_from_slice(b": test\n");
        if buffer.len() >= CHUNK {
            result = out.write_all(&buffer);
            buffer.clear();
        }
    });
    result?;
    out.write_all(&buffer)
}

/// Writes the names of verifier cells, all of which are ignored unless asked for: both listings have them.
///
/// # Errors
/// When `out` cannot be written to.
pub(crate) fn write_cells(cells: &[Cell<'_>], out: &mut impl Write) -> std::io::Result<()> {
    let lines: String = cells.iter().map(|cell| cell.name() + ": test\n").collect();
    out.write_all(lines.as_bytes())
}

/// Like [`write_names`] for the selection that covers most within `budget`; the answer is the line for stderr.
///
/// The selection is made from all names, so that the two listings of nextest agree.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_selected(
    catalogue: &Catalogue<'_>,
    ignored_only: bool,
    budget: Secs,
    measured: &Measured,
    out: &mut impl Write,
) -> std::io::Result<String> {
    let mut candidates = Vec::new();
    let mut ignored = Vec::new();
    catalogue.visit(|item| {
        candidates.push(item.candidate(measured));
        ignored.push(item.ignored());
    });
    let chosen = select(&candidates, budget);
    let mut buffer = Vec::new();
    for &index in chosen.iter().filter(|&&i| !ignored_only || ignored[i]) {
        buffer.extend_from_slice(candidates[index].name.as_bytes());
        buffer.extend_from_slice(b": test\n");
    }
    out.write_all(&buffer)?;
    let s = stats(&candidates, &chosen, budget);
    Ok(format!(
        "budget: {}/{} tests, {:.0}/{:.0} s, {}/{} configurations covered",
        s.selected, s.total, s.secs_used, s.secs_budget, s.bits_covered, s.bits_possible
    ))
}

/// Copies libtest's own listing, leaving out the wrappers of registered tests.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_plain(listing: &[u8], registered: &HashSet<&str>, out: &mut impl Write) -> std::io::Result<()> {
    for line in listing.split_inclusive(|&b| b == b'\n') {
        let text = String::from_utf8_lossy(line);
        let Some(name) = text.trim_end().strip_suffix(": test") else {
            continue;
        };
        if !registered.contains(name) {
            out.write_all(line)?;
        }
    }
    Ok(())
}

/// The path libtest knows a wrapper by: the module path without the crate's name.
#[must_use]
pub fn libtest_name(module_path: &str) -> &str {
    module_path.split_once("::").map_or(module_path, |(_, rest)| rest)
}

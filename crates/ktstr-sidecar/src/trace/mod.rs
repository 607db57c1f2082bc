//! A trace for ui.perfetto.dev, from what a guest's kernel recorded.
//!
//! The guest sends pages of ring buffers as the kernel keeps them, and the files that say how to read them. Perfetto has packets
//! for just that, one for each piece of a CPU's buffer (`FtraceEventBundle`), and makes CPU tracks, thread states and wake-ups of
//! them. Nothing is added: what the kernel overwrote is said to be lost.

mod format;
mod packet;
mod proto;
mod ring;

use format::Event;
use ktstr_wire::{TracePart, TraceWhat};
use proto::Proto;
use std::collections::BTreeMap;

/// End of a trace's file name; before it comes what a record's file name has before its own end.
pub(crate) const TRACE_SUFFIX: &str = ".wprof.pb";

/// Bytes of a ring buffer's page (kernel/trace/ring_buffer.c; the guest asks for no larger ones).
const PAGE: usize = 4096;

/// The file, in Perfetto's format; `None` when not one event came.
///
/// `release` is the kernel's (uname -r): the words for task states depend on it.
#[must_use]
pub fn perfetto<'a>(release: &str, parts: impl IntoIterator<Item = &'a TracePart>) -> Option<Vec<u8>> {
    let mut events: BTreeMap<u16, Event> = BTreeMap::new();
    let mut groups = Vec::new();
    let mut pages = Vec::new();
    for part in parts {
        match part.what {
            TraceWhat::Format => {
                if let Some(event) = format::parse(&String::from_utf8_lossy(&part.bytes)) {
                    events.insert(event.id, event);
                }
            }
            TraceWhat::ThreadGroups => groups = thread_groups(&String::from_utf8_lossy(&part.bytes)),
            TraceWhat::Pages { cpu } => pages.extend(part.bytes.chunks_exact(PAGE).map(|page| (cpu, page))),
        }
    }
    let mut out = Proto::default();
    out.message(packet::TRACE_PACKET, &packet::system(release));
    out.message(packet::TRACE_PACKET, &packet::processes(&groups));
    let mut any = false;
    for (cpu, page) in pages {
        let bundle = packet::bundle(cpu, page, &events);
        any |= bundle.is_some();
        if let Some(bundle) = bundle {
            out.message(packet::TRACE_PACKET, &bundle);
        }
    }
    any.then(|| out.into_bytes())
}

/// Lines of thread and thread group.
fn thread_groups(text: &str) -> Vec<(u32, u32)> {
    let numbers = |line: &str| {
        let (thread, group) = line.trim().split_once(char::is_whitespace)?;
        Some((thread.parse().ok()?, group.trim().parse().ok()?))
    };
    text.lines().filter_map(numbers).collect()
}

#[cfg(test)]
mod tests;

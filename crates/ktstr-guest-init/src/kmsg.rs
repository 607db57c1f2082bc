//! The kernel's log, read to its end and sent in pieces.

use crate::link::Link;
use ktstr_scenario::kmsg;
use ktstr_wire::Message;

/// Bytes of log in one frame.
const PIECE: usize = 32 << 10;

/// Sends everything the kernel has logged; the host judges what it gets.
pub fn send_all(link: &Link) {
    let mut piece = String::new();
    kmsg::each_line(|line| {
        piece.push_str(line);
        piece.push('\n');
        if piece.len() >= PIECE {
            link.send(&Message::Console(std::mem::take(&mut piece)));
        }
    });
    if !piece.is_empty() {
        link.send(&Message::Console(piece));
    }
}

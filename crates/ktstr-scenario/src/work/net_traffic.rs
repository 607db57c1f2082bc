//! Pairs that exchange messages over TCP on the loopback interface.

use super::pipe_io::readable;
use super::{GroupSize, Links, Work, burn, within};
use crate::worker::{Fault, Worker};
use anyhow::{Context as _, Result};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// Most bytes of a message.
const MOST: usize = 16384;
/// Rounds of work for each message.
const ROUNDS: u64 = 100;

/// Parameters of [`WorkType::NetTraffic`](super::WorkType::NetTraffic).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetTraffic {
    /// Bytes of a message, 1 to 16,384: it fits the socket's buffers.
    pub message: usize,
}

impl NetTraffic {
    /// 1 KiB.
    pub const DEFAULT: Self = Self { message: 1024 };
}

impl Work for NetTraffic {
    fn size(&self) -> GroupSize {
        GroupSize::Multiple(2)
    }

    fn check(&self) -> Result<()> {
        within("message", self.message, 1..=MOST)
    }

    /// For each worker its end of its pair's connection.
    fn links(&self, workers: usize, _group: Option<&Path>) -> Result<Links> {
        let mut files = Vec::with_capacity(workers);
        for _ in 0..workers / 2 {
            let (one, other) = connected().context("no TCP connection on 127.0.0.1: is the loopback interface up?")?;
            files.extend([one.into(), other.into()]);
        }
        Ok(Links::of_files(files))
    }

    fn run(&self, worker: &Worker<'_>) -> Result<(), Fault> {
        let socket = worker.file(worker.index())?;
        let mut bytes = [0u8; MOST];
        let send = |bytes: &[u8]| {
            let sent = rustix::io::write(socket, bytes.get(..self.message).unwrap_or(bytes));
            sent.map(drop).map_err(|e| Fault::new("send over TCP, bytes", self.message as i64, e))
        };
        if worker.index().is_multiple_of(2) {
            send(&bytes)?;
        }
        let mut got = 0;
        while worker.running() {
            if !readable(socket)? {
                continue;
            }
            let read = rustix::io::read(socket, bytes.get_mut(..self.message - got).unwrap_or_default())
                .map_err(|e| Fault::new("receive over TCP, bytes", self.message as i64, e))?;
            worker.event(read as u64);
            got += read;
            if got == self.message {
                got = 0;
                burn(ROUNDS);
                worker.progress(1);
                send(&bytes)?;
            }
        }
        Ok(())
    }
}

fn connected() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkType;
    use crate::work::testing::run;

    #[test]
    fn messages_go_to_and_fro_whole() {
        let work = WorkType::NetTraffic(NetTraffic { message: 3000 });
        let seen = run(&work, 4, |seen| seen.iter().all(|w| w.iterations > 10));
        for pair in seen.chunks(2) {
            assert!(pair.iter().all(|w| w.events / 3000 == w.iterations), "{pair:?}");
            assert!(pair[0].iterations.abs_diff(pair[1].iterations) <= 1, "{pair:?}");
        }
    }
}

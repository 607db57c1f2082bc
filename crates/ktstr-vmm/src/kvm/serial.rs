//! The serial port: a console for the guest's words, and a keyboard for a person's.

use super::bus::Sink;
use std::io::{Error, ErrorKind, Result, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

/// Rings the guest's interrupt for the port.
struct Interrupt(EventFd);

impl Trigger for Interrupt {
    type E = Error;

    fn trigger(&self) -> Result<()> {
        self.0.write(1)
    }
}

struct ConsoleWriter<S>(S);

impl<S: Sink> Write for ConsoleWriter<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.console(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Port<S: Sink> {
    uart: Serial<Interrupt, NoEvents, ConsoleWriter<S>>,
    /// The machine has ended: nobody will read what is typed.
    over: bool,
}

/// A 16550 whose receiver holds 64 bytes.
pub(super) struct SerialPort<S: Sink> {
    port: Mutex<Port<S>>,
    /// The guest has looked at the port, or will never again.
    looked: Condvar,
}

impl<S: Sink> SerialPort<S> {
    pub fn new(sink: S, interrupt: EventFd) -> Self {
        let uart = Serial::new(Interrupt(interrupt), ConsoleWriter(sink));
        Self { port: Mutex::new(Port { uart, over: false }), looked: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Port<S>> {
        self.port.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `out` to one of its eight registers.
    pub fn write(&self, register: u8, data: &[u8]) {
        let mut port = self.lock();
        for byte in data {
            // An interrupt that cannot be rung is a byte that the guest polls for.
            let _ = port.uart.write(register, *byte);
        }
        self.looked.notify_all();
    }

    /// `in` from one of its eight registers.
    pub fn read(&self, register: u8, data: &mut [u8]) {
        let mut port = self.lock();
        data.fill_with(|| port.uart.read(register));
        self.looked.notify_all();
    }

    /// Nobody will read what is typed from now on.
    pub fn end(&self) {
        self.lock().over = true;
        self.looked.notify_all();
    }

    /// Types as many of these keys as the receiver has room for, at least one; waits for the guest when it has none, or talks to
    /// itself (loopback mode).
    fn type_some(&self, keys: &[u8]) -> Result<usize> {
        let mut port = self.lock();
        loop {
            if port.over {
                return Err(Error::new(ErrorKind::BrokenPipe, "the machine has ended"));
            }
            let room = port.uart.fifo_capacity().min(keys.len());
            let typed = match port.uart.enqueue_raw_bytes(keys) {
                Ok(count) => count,
                // They are in the receiver; a guest that polls finds them.
                Err(vm_superio::serial::Error::Trigger(_)) => room,
                Err(_) => 0,
            };
            if typed > 0 || keys.is_empty() {
                return Ok(typed);
            }
            port = self.looked.wait(port).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What is written to it is typed.
pub(super) struct Keyboard<S: Sink>(pub Arc<SerialPort<S>>);

impl<S: Sink> Write for Keyboard<S> {
    fn write(&mut self, keys: &[u8]) -> Result<usize> {
        self.0.type_some(keys)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Registers of a 16550 (PC16550D data sheet, table II): receiver; line status, whose first bit says that it holds a byte;
    /// modem control, whose fifth is the loopback.
    const RECEIVER: u8 = 0;
    const MODEM_CONTROL: u8 = 4;
    const LINE_STATUS: u8 = 5;
    const DATA_READY: u8 = 1;
    const LOOPBACK: u8 = 1 << 4;

    #[derive(Clone)]
    struct Deaf;

    impl Sink for Deaf {
        fn channel(&self, _: &[u8]) {}
        fn console(&self, _: &[u8]) {}
        fn ended(&self) {}
    }

    fn port() -> Arc<SerialPort<Deaf>> {
        Arc::new(SerialPort::new(Deaf, EventFd::new(libc::EFD_NONBLOCK).unwrap()))
    }

    fn read(port: &SerialPort<Deaf>, register: u8) -> u8 {
        let mut data = [0];
        port.read(register, &mut data);
        data[0]
    }

    /// A guest that polls until it has so many bytes.
    fn poll(port: &SerialPort<Deaf>, count: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < count {
            if read(port, LINE_STATUS) & DATA_READY != 0 {
                heard.push(read(port, RECEIVER));
            }
        }
        heard
    }

    proptest! {
        #[test]
        fn what_is_typed_arrives_whole_and_in_order_however_much_it_is(typed in prop::collection::vec(any::<u8>(), 0..400)) {
            let port = port();
            let (keys, mut keyboard) = (typed.clone(), Keyboard(Arc::clone(&port)));
            let person = std::thread::spawn(move || keyboard.write_all(&keys));
            prop_assert_eq!(poll(&port, typed.len()), typed);
            person.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_guest_that_talks_to_itself_misses_no_key() {
        let port = port();
        port.write(MODEM_CONTROL, &[LOOPBACK]);
        let mut keyboard = Keyboard(Arc::clone(&port));
        let person = std::thread::spawn(move || keyboard.write_all(b"ls"));
        port.write(MODEM_CONTROL, &[0]);
        assert_eq!(poll(&port, 2), b"ls");
        person.join().unwrap().unwrap();
    }

    #[test]
    fn nobody_waits_for_a_machine_that_has_ended() {
        let port = port();
        let mut keyboard = Keyboard(Arc::clone(&port));
        let person = std::thread::spawn(move || keyboard.write_all(&[b'a'; 1000]));
        port.end();
        assert_eq!(person.join().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}

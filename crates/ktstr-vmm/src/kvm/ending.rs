//! How the machine ended: the first CPU that says so decides.

use std::sync::{Mutex, PoisonError};

/// Why a CPU stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The guest powered itself off.
    PowerOff,
    /// The guest reset itself.
    Reset,
    /// Something that no guest should do, or that KVM could not do.
    Broken(String),
}

/// Written once.
#[derive(Default)]
pub(crate) struct Ending {
    first: Mutex<Option<(Why, String)>>,
}

impl Ending {
    /// Keeps the first reason, with the CPU's number and registers when it is a bad one.
    pub fn set(&self, cpu: u32, why: Why, registers: &str) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            let place = if registers.is_empty() { format!("CPU {cpu}") } else { format!("CPU {cpu}: {registers}") };
            *first = Some((why, place));
        }
    }

    /// The reason, once there is one.
    pub fn get(&self) -> Option<(Why, String)> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

//! Changing the scheduler while a test runs.

use anyhow::{Result, bail};

/// The scheduler under test in a test's hand: staged schedulers by their declared names.
#[derive(Debug, Default)]
pub struct SchedulerControl {}

impl SchedulerControl {
    /// Attaches a staged scheduler where none is attached.
    ///
    /// # Errors
    /// Not staged, one is attached already, or it did not attach.
    pub fn attach(&self, name: &str) -> Result<()> {
        bail!("attaching `{name}` in a running test is not supported yet")
    }

    /// Stops the scheduler that is attached; the kernel's own takes over.
    ///
    /// # Errors
    /// None is attached, or it did not leave.
    pub fn detach(&self) -> Result<()> {
        bail!("detaching the scheduler in a running test is not supported yet")
    }

    /// Stops the scheduler and starts it anew.
    ///
    /// # Errors
    /// None is attached, it did not leave, or it did not attach again.
    pub fn restart(&self) -> Result<()> {
        bail!("restarting the scheduler in a running test is not supported yet")
    }

    /// Stops the scheduler and attaches a staged one.
    ///
    /// # Errors
    /// As [`detach`](Self::detach) and [`attach`](Self::attach).
    pub fn replace(&self, name: &str) -> Result<()> {
        bail!("replacing the scheduler by `{name}` in a running test is not supported yet")
    }
}

//! Real programs as workloads.

use crate::ctx::Ctx;
use anyhow::{Result, bail};
use ktstr_verdict::AssertResult;
use std::path::Path;

/// A program as a test declares it.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    /// Its name in messages and in the record.
    pub name: &'static str,
}

/// A program that runs; dropping it kills it and all it has started.
#[derive(Debug)]
pub struct RunningPayload {}

impl RunningPayload {
    /// Starts it in a cgroup (its directory).
    ///
    /// # Errors
    /// It was not packed, or could not be started.
    pub fn spawn(_ctx: &Ctx, payload: &'static Payload, _cgroup: Option<&Path>) -> Result<Self> {
        bail!("payload `{}` is not supported yet", payload.name)
    }

    /// Waits for its end and judges it.
    ///
    /// # Errors
    /// Its end could not be had.
    pub fn wait(self) -> Result<AssertResult> {
        Ok(AssertResult::default())
    }

    /// Ends it; what it had to say by then is judged.
    ///
    /// # Errors
    /// Its end could not be had.
    pub fn kill(self) -> Result<AssertResult> {
        Ok(AssertResult::default())
    }
}

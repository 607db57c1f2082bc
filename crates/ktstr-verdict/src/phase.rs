//! The steps that a scenario went through.

use serde::{Deserialize, Serialize};

/// One step of a scenario. Times are since the scenario's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its number, and its name when it has one.
    pub name: String,
    /// From when.
    pub start_us: u64,
    /// Until when.
    pub end_us: u64,
    /// What was done, in its order.
    pub events: Vec<PhaseEvent>,
    /// How many more operations were done that are not listed.
    pub more_events: u64,
}

/// Something a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseEvent {
    /// When it was done.
    pub at_us: u64,
    /// What, as the operation is called.
    pub what: String,
}

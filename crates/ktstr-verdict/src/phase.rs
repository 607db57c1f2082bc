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

impl Phase {
    /// One line for each step and for each thing done in it, with its time; "" for a scenario of one step that did nothing but hold.
    #[must_use]
    pub fn timeline(phases: &[Self]) -> String {
        if phases.len() < 2 && phases.iter().all(|p| p.events.is_empty()) {
            return String::new();
        }
        let mut lines = Vec::new();
        for phase in phases {
            lines.push(line(Some(phase.start_us), &phase.name));
            lines.extend(phase.events.iter().map(|event| line(Some(event.at_us), &format!("  {}", event.what))));
            if phase.more_events > 0 {
                lines.push(line(None, &format!("  {} operations more", phase.more_events)));
            }
        }
        // A step that never ended says nothing of an end.
        lines.extend(phases.last().filter(|p| p.end_us != u64::MAX).map(|p| line(Some(p.end_us), "end")));
        lines.join("\n")
    }
}

fn line(at_us: Option<u64>, what: &str) -> String {
    let at = at_us.map_or_else(String::new, |us| format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000));
    format!("{at:>10}  {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, start_us: u64, end_us: u64, events: &[(u64, &str)], more_events: u64) -> Phase {
        let events =
            events.iter().map(|(at_us, what)| PhaseEvent { at_us: *at_us, what: (*what).to_owned() }).collect();
        Phase { name: name.to_owned(), start_us, end_us, events, more_events }
    }

    #[test]
    fn a_timeline_has_every_step_every_operation_and_the_end() {
        let phases = [
            phase("step 1", 0, 1_500_000, &[], 0),
            phase(
                "step 2 (storm)",
                1_500_000,
                3_000_999,
                &[(1_512_345, "cpu_offline 3"), (1_600_000, "cpu_online 3")],
                6,
            ),
        ];
        let want = "   0.000 s  step 1\n   1.500 s  step 2 (storm)\n   1.512 s    cpu_offline 3\n   1.600 s    cpu_online 3\n\
                    \u{20}             6 operations more\n   3.000 s  end";
        assert_eq!(Phase::timeline(&phases), want);
    }

    #[test]
    fn one_step_that_only_holds_is_no_story_and_one_that_never_ended_has_no_end() {
        assert_eq!(Phase::timeline(&[]), "");
        assert_eq!(Phase::timeline(&[phase("step 1", 0, 9, &[], 0)]), "");
        let cut = [phase("step 1", 0, u64::MAX, &[(5000, "stop a")], 0)];
        assert_eq!(Phase::timeline(&cut), "   0.000 s  step 1\n   0.005 s    stop a");
    }
}

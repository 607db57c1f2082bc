//! When which step ran, and what was done in it.

use ktstr_verdict::{Phase, PhaseEvent};
use std::time::Duration;

/// Operations of one step that are written down; of a long loop the first ones say enough.
const EVENTS: usize = 64;

/// Steps so far.
#[derive(Debug, Default)]
pub struct Timeline {
    phases: Vec<Phase>,
}

fn micros(t: Duration) -> u64 {
    u64::try_from(t.as_micros()).unwrap_or(u64::MAX)
}

impl Timeline {
    /// A step begins.
    pub fn begin(&mut self, index: usize, name: Option<&str>, now: Duration) {
        let name = name.map_or_else(|| format!("step {}", index + 1), |name| format!("step {} ({name})", index + 1));
        self.phases.push(Phase { name, start_us: micros(now), end_us: u64::MAX, ..Phase::default() });
    }

    /// The step that runs ends.
    pub fn end(&mut self, now: Duration) {
        if let Some(phase) = self.phases.last_mut() {
            phase.end_us = micros(now);
        }
    }

    /// Something was done.
    pub fn event(&mut self, now: Duration, what: impl FnOnce() -> String) {
        let Some(phase) = self.phases.last_mut() else { return };
        if phase.events.len() < EVENTS {
            phase.events.push(PhaseEvent { at_us: micros(now), what: what() });
        } else {
            phase.more_events += 1;
        }
    }

    /// In which steps something between two times was; nothing when there is only one step.
    pub fn steps_between(&self, from: Duration, to: Duration) -> String {
        if self.phases.len() < 2 {
            return String::new();
        }
        // Workers are stopped when the last step has ended, and it is still theirs.
        let last = self.phases.len() - 1;
        let in_it = |(i, p): &(usize, &Phase)| p.start_us <= micros(to) && (*i == last || p.end_us > micros(from));
        let mut names = self.phases.iter().enumerate().filter(in_it).map(|(_, p)| p.name.as_str());
        match (names.next(), names.next_back()) {
            (Some(first), Some(last)) => format!("; {first} to {last}"),
            (Some(only), None) => format!("; {only}"),
            (None, _) => String::new(),
        }
    }

    /// All of it.
    pub fn into_phases(self) -> Vec<Phase> {
        self.phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_found_in_its_step_and_a_long_loop_is_cut() {
        let ms = Duration::from_millis;
        let mut timeline = Timeline::default();
        timeline.begin(0, None, ms(0));
        assert_eq!(timeline.steps_between(ms(0), ms(9)), "");
        timeline.end(ms(10));
        timeline.begin(1, Some("storm"), ms(10));
        for _ in 0..70 {
            timeline.event(ms(11), || "cpu_offline 3".into());
        }
        assert_eq!(timeline.steps_between(ms(5), ms(5)), "; step 1");
        assert_eq!(timeline.steps_between(ms(12), ms(12)), "; step 2 (storm)");
        assert_eq!(timeline.steps_between(ms(5), ms(12)), "; step 1 to step 2 (storm)");
        timeline.end(ms(20));
        assert_eq!(timeline.steps_between(ms(21), ms(21)), "; step 2 (storm)");
        let phases = timeline.into_phases();
        assert_eq!((phases[1].events.len(), phases[1].more_events), (64, 6));
        assert_eq!((phases[1].start_us, phases[1].end_us), (10_000, 20_000));
    }
}

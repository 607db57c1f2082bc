//! Values over time.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Values with the seconds at which they were taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series(Vec<(f64, f64)>);

impl Series {
    /// From pairs of seconds and values, in the order of time.
    #[must_use]
    pub fn of(points: &[(f64, f64)]) -> Self {
        Self(points.to_vec())
    }

    /// Reads a value at once, each time so long has passed, and when `work` has ended; seconds count from its beginning. The
    /// reader has a thread of its own.
    pub fn during<R>(every: Duration, mut read: impl FnMut() -> f64 + Send, work: impl FnOnce() -> R) -> (R, Self) {
        std::thread::scope(|scope| {
            let start = Instant::now();
            let (stop, stopped) = channel::<()>();
            let reader = scope.spawn(move || {
                let mut points = Vec::new();
                loop {
                    points.push((start.elapsed().as_secs_f64(), read()));
                    if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                        points.push((start.elapsed().as_secs_f64(), read()));
                        return points;
                    }
                }
            });
            let result = work();
            drop(stop);
            // A reader that panicked has said so, and leaves a series that proves nothing.
            (result, Self(reader.join().unwrap_or_default()))
        })
    }

    /// Adds a value at the end.
    pub fn push(&mut self, seconds: f64, value: f64) {
        self.0.push((seconds, value));
    }

    /// Pairs of seconds and values.
    #[must_use]
    pub fn points(&self) -> &[(f64, f64)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_at_both_ends_and_in_between() {
        let mut n = 0.0;
        let read = || {
            n += 1.0;
            n
        };
        let (gate, open) = channel();
        let mut first = true;
        let tell = {
            let mut read = read;
            move || {
                // The third reading lets the work end.
                let value = read();
                if value >= 3.0 && std::mem::take(&mut first) {
                    let _ = gate.send(());
                }
                value
            }
        };
        let (answer, series) = Series::during(Duration::from_millis(1), tell, || open.recv().map(|()| 7));
        assert_eq!(answer, Ok(7));
        let values: Vec<f64> = series.points().iter().map(|(_, v)| *v).collect();
        assert!(values.len() >= 4 && values.windows(2).all(|w| w[1] == w[0] + 1.0), "{values:?}");
    }
}

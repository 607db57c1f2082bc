//! How long work tells what it is doing.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::Mutex;

/// Listener of long work. Every method may be called from any thread.
pub trait Progress: Sync {
    /// A new step begins, in a few words.
    fn step(&self, what: &str);
    /// `done` of `total` bytes of the present step; `total` is 0 when it is not known.
    fn bytes(&self, done: u64, total: u64);
    /// Something that the reader should know and that stops nothing.
    fn note(&self, what: &str);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
    fn bytes(&self, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
}

/// A bar on a terminal, one plain line per step otherwise; always on standard error.
#[derive(Debug)]
pub struct Console {
    bar: Option<ProgressBar>,
    last: Mutex<String>,
}

impl Console {
    /// Looks once at whether standard error is a terminal. `NO_COLOR` needs no care: nothing here is coloured.
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(spinner());
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
            bar
        });
        Self { bar, last: Mutex::new(String::new()) }
    }

    /// Removes the bar, so that what is printed next begins on a clean line.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// One line of result on standard output, clear of the bar.
    pub fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }

    /// Whether this step was announced already; it is remembered.
    fn is_repeated(&self, what: &str) -> bool {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *last == what {
            return true;
        }
        what.clone_into(&mut last);
        false
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Progress for Console {
    fn step(&self, what: &str) {
        if self.is_repeated(what) {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_style(spinner());
            bar.set_length(0);
            bar.set_position(0);
            bar.set_message(what.to_owned());
        } else {
            eprintln!("{what}");
        }
    }

    fn bytes(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar
            && total > 0
        {
            bar.set_style(with_bytes());
            bar.set_length(total);
            bar.set_position(done.min(total));
        }
    }

    fn note(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{what}")),
            None => eprintln!("{what}"),
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn with_bytes() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

//! A progress bar that appears only on long work.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counts steps; draws on stderr once the work has lasted two seconds, and never when stderr is
/// not a terminal.
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
    allowed: bool,
}

impl Progress {
    /// `what` is a noun phrase: "pictures", "directions".
    pub fn new(what: &'static str, total: usize, allowed: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        // The template is a constant: an error in it would show in the first test.
        if let Ok(style) = ProgressStyle::with_template(
            "{bar:32} {pos}/{len} {msg}  {elapsed} elapsed, {eta} left",
        ) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(what);
        Self {
            bar,
            start: Instant::now(),
            allowed: allowed && std::io::stderr().is_terminal(),
        }
    }

    /// `steps` more are done.
    pub fn advance(&self, steps: usize) {
        if self.allowed && self.bar.is_hidden() && self.start.elapsed() >= PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(steps as u64);
    }

    /// Moves to an absolute count.
    pub fn set(&self, done: usize) {
        self.advance(done.saturating_sub(self.bar.position() as usize));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

//! What a person, or a program, sees of a run while it trains.
//!
//! On a terminal a bar with speed and time left, and above it one line a tick with the losses. Without a terminal the
//! lines alone; as JSON one object a tick on stderr.

use std::io::IsTerminal as _;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::Record;
use crate::stderr;

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Show {
    /// Not at all.
    #[default]
    Nothing,
    /// Lines and a bar.
    Text,
    /// One JSON object a tick.
    Json,
}

/// See the [module docs](self).
#[derive(Debug)]
pub struct Progress {
    show: Show,
    bar: ProgressBar,
    total: u64,
}

impl Progress {
    /// For a run of `total` images, `done` of which lie behind it.
    pub fn new(show: Show, total: u64, done: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if show == Show::Text && std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(2));
        }
        // The template is a constant: an error in it would show in the first test.
        if let Ok(style) =
            ProgressStyle::with_template("{bar:32} {human_pos}/{human_len} images  {msg}")
        {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_position(done);
        Self { show, bar, total }
    }

    /// Some images more; `speed` in images per second.
    pub fn advance(&self, images: u64, speed: f64) {
        self.bar.set_position(images);
        if speed > 0.0 {
            let left = self.left(images, speed);
            self.bar
                .set_message(format!("{speed:.1} images/s, {left} left"));
        }
    }

    /// A tick is done.
    pub fn tick(&self, record: &Record) {
        match self.show {
            Show::Nothing => {}
            Show::Json => self
                .bar
                .suspend(|| stderr::line(&record.to_json().to_string())),
            Show::Text => {
                let line = self.line(record);
                self.bar.suspend(|| stderr::line(&line));
            }
        }
    }

    /// Something worth a line.
    pub fn say(&self, line: &str) {
        if self.show == Show::Text {
            self.bar.suspend(|| stderr::line(line));
        }
    }

    fn line(&self, record: &Record) -> String {
        // That nothing was skipped is what one expects.
        let shown = |(name, value): &(&String, &f64)| *name != "skipped" || **value != 0.0;
        let values: Vec<String> = record
            .values
            .iter()
            .filter(shown)
            .map(|(name, value)| format!("{} {}", name.trim_start_matches("loss/"), short(*value)))
            .collect();
        format!(
            "tick {:<4} kimg {:<8} {}  {:.1} images/s, {} left",
            record.tick,
            record.images as f64 / 1000.0,
            values.join("  "),
            record.images_per_second,
            self.left(record.images, record.images_per_second),
        )
    }

    fn left(&self, images: u64, speed: f64) -> String {
        let seconds = self.total.saturating_sub(images) as f64 / speed;
        // A century is as good as never, and more than a duration holds.
        if !(0.0..3e9).contains(&seconds) {
            return "unknown time".to_string();
        }
        HumanDuration(std::time::Duration::from_secs_f64(seconds)).to_string()
    }
}

/// Three places, or as many digits where a number is small.
fn short(value: f64) -> String {
    match value.abs() {
        size if size > 0.0 && size < 1e-3 => format!("{value:.1e}"),
        _ => format!("{value:.3}"),
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_reads_as_a_line() {
        let progress = Progress::new(Show::Text, 10_000, 0);
        let record = Record {
            tick: 3,
            images: 4000,
            images_per_second: 20.0,
            values: [("loss/G", 0.75), ("augment/p", 0.000_032), ("skipped", 0.0)]
                .map(|(name, value)| (name.to_string(), value))
                .into(),
            ..Record::default()
        };
        let line = progress.line(&record);
        assert!(
            line.contains("kimg 4 ") && line.contains("G 0.750"),
            "{line}"
        );
        assert!(
            line.contains("p 3.2e-5") && !line.contains("skipped"),
            "{line}"
        );
        assert!(line.contains("20.0 images/s, 5 minutes left"), "{line}");
        let stalled = Record {
            images_per_second: 0.0,
            ..record
        };
        assert!(progress.line(&stalled).contains("unknown time"));
    }
}

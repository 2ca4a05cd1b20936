//! What a person, or a program, sees of a run while it trains.
//!
//! On a terminal a bar with speed and time left, and above it one line a tick with what matters most of its losses: as
//! much as the line holds, the rest is in the events. Without a terminal the lines alone; as JSON one object a tick on
//! stderr.

use std::io::IsTerminal as _;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use domex_data::counted;

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

/// Columns of a line where there is no terminal to ask.
const COLUMNS: usize = 120;

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
                let line = self.line(record, columns());
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

    /// How long the run will take, by its first steps.
    pub fn estimate(&self, steps: u64, seconds_a_step: f64, memory: Option<u64>) {
        if self.show != Show::Text || steps == 0 {
            return;
        }
        let all = duration(steps as f64 * seconds_a_step);
        let memory = memory.map_or(String::new(), |bytes| {
            format!(", {:.1} GB of memory", bytes as f64 / 1e9)
        });
        self.say(&format!(
            "estimate  {} of {} s: {all}{memory}",
            counted(steps as usize, "step"),
            seconds(seconds_a_step)
        ));
    }

    /// A line of at most so many columns.
    fn line(&self, record: &Record, columns: usize) -> String {
        let mut line = format!(
            "step {:<6} kimg {:<7}",
            record.step,
            record.images as f64 / 1000.0
        );
        let end = format!(
            "  {:.1} images/s, {} left",
            record.images_per_second,
            self.left(record.images, record.images_per_second),
        );
        // That nothing was skipped is what one expects.
        let shown = |(name, value): &(&String, &f64)| *name != "skipped" || **value != 0.0;
        let mut values: Vec<(&String, &f64)> = record.values.iter().filter(shown).collect();
        values.sort_by_key(|(name, _)| rank(name));
        for (name, value) in values {
            let name = name
                .trim_start_matches("loss/")
                .trim_start_matches("domain/");
            let part = format!(" {name} {} ", short(*value));
            let length = |text: &str| text.chars().count();
            if length(&line) + length(&part) + length(&end) > columns {
                break;
            }
            line += &part;
        }
        format!("{}{end}", line.trim_end())
    }

    fn left(&self, images: u64, speed: f64) -> String {
        let seconds = self.total.saturating_sub(images) as f64 / speed;
        duration(seconds)
    }
}

fn duration(seconds: f64) -> String {
    // A century is as good as never, and more than a duration holds.
    if !(0.0..3e9).contains(&seconds) {
        return "unknown time".to_string();
    }
    HumanDuration(std::time::Duration::from_secs_f64(seconds)).to_string()
}

/// What stands first in a line: trouble, new domains, the base, validation, then all else.
fn rank(name: &str) -> u8 {
    match name {
        "skipped" => 0,
        _ if name.starts_with("domain/") => 1,
        "loss/l2" | "loss/lpips" => 2,
        "validation/loss" => 3,
        _ if name.starts_with("loss/") => 4,
        _ => 5,
    }
}

fn columns() -> usize {
    let size = console::Term::stderr().size_checked();
    size.map_or(COLUMNS, |(_, columns)| columns.into())
}

/// Three places, or as many digits where a number is small.
fn short(value: f64) -> String {
    match value.abs() {
        size if size > 0.0 && size < 1e-3 => format!("{value:.1e}"),
        _ => format!("{value:.3}"),
    }
}

/// As exactly as a first guess deserves.
fn seconds(value: f64) -> String {
    match value {
        10.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
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
            step: 125,
            images: 4000,
            images_per_second: 20.0,
            values: [("loss/G", 0.75), ("augment/p", 0.000_032), ("skipped", 0.0)]
                .map(|(name, value)| (name.to_string(), value))
                .into(),
            ..Record::default()
        };
        let line = progress.line(&record, COLUMNS);
        assert!(
            line.starts_with("step 125    kimg 4 ") && line.contains("G 0.750"),
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
        assert!(progress.line(&stalled, COLUMNS).contains("unknown time"));
    }

    #[test]
    fn seconds_of_a_first_guess_are_round() {
        assert_eq!(
            [155.707, 8.379, 0.1254].map(seconds),
            ["156", "8.4", "0.13"]
        );
    }

    #[test]
    fn a_line_holds_domains_and_base_before_other_losses() {
        let progress = Progress::new(Show::Text, 10_000, 0);
        let names = [
            "loss/expand",
            "loss/lpips",
            "domain/zombie",
            "aux/x",
            "validation/loss",
        ];
        let record = Record {
            tick: 3,
            images: 4000,
            images_per_second: 20.0,
            values: names.map(|name| (name.to_string(), 0.5)).into(),
            ..Record::default()
        };
        let line = progress.line(&record, 112);
        assert!(
            line.contains("zombie 0.500  lpips 0.500  validation/loss 0.500  20.0"),
            "{line}"
        );
        for columns in 80..200 {
            assert!(progress.line(&record, columns).chars().count() <= columns);
        }
    }
}

//! The numbers of a report.

use domex_latent::Expansion;
use image::RgbImage;
use serde_json::{Value as Json, json};

use super::events::Events;
use super::gallery::Gallery;
use super::page::number;
use crate::methods::augmentation;

/// One domain.
#[derive(Debug)]
struct Row {
    name: String,
    dimension: usize,
    distance: f64,
    /// From the base picture; `None` where the domain has no row on the page.
    change: Option<f64>,
    /// First and last tick.
    loss: Option<(f64, Option<f64>)>,
    /// Whether a network that learns meanwhile measures it, so that two ticks do not compare.
    is_measured_by_what_learns: bool,
}

/// What pictures and losses say of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Pictures are those of the base.
    Unchanged,
    /// Pictures changed, and yet the loss did not fall.
    LossNotLower,
    /// Pictures changed, and the loss fell, or does not say.
    Changed,
}

impl Verdict {
    /// Below this an eye hardly sees a difference: three levels of 255.
    const VISIBLE: f64 = 6.0 / 255.0;
    /// A loss that fell by less than this share moved within its noise.
    const LOWER: f64 = 0.97;

    fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::LossNotLower => "loss not lower",
            Self::Changed => "changed",
        }
    }
}

impl Row {
    /// `None` where there are neither pictures nor losses.
    fn verdict(&self) -> Option<Verdict> {
        let change = self.change?;
        let loss = self.loss.filter(|_| !self.is_measured_by_what_learns);
        Some(match loss {
            _ if change < Verdict::VISIBLE => Verdict::Unchanged,
            Some((first, Some(last))) if last > first * Verdict::LOWER => Verdict::LossNotLower,
            _ => Verdict::Changed,
        })
    }
}

/// See the [module docs](self).
#[derive(Debug)]
pub struct Measures {
    rows: Vec<Row>,
    /// Between the source's pictures and the base subspace's.
    base_change: Option<f64>,
    step: Option<f64>,
    images: Option<f64>,
    seconds: Option<f64>,
    speed: Option<f64>,
    memory: Option<f64>,
}

impl Measures {
    pub fn new(
        expansion: &Expansion,
        aligned: &Gallery,
        has_source: bool,
        events: &Events,
    ) -> Self {
        let of = |name: &str| {
            aligned
                .rows
                .iter()
                .find(|row| row.0 == name)
                .map(|row| &row.1)
        };
        let first = usize::from(has_source);
        let base = aligned
            .rows
            .get(first)
            .map(|row| row.1.as_slice())
            .unwrap_or_default();
        let rows = expansion
            .layout
            .domains()
            .iter()
            .enumerate()
            .map(|(i, domain)| Row {
                name: domain.name.clone(),
                dimension: domain.dimension,
                distance: domain.distance,
                change: aligned
                    .rows
                    .get(first + 1 + i)
                    .map(|row| change(base, &row.1)),
                loss: events.ends(&format!("domain/{}", domain.name)),
                is_measured_by_what_learns: events.last(&augmentation(&domain.name)).is_some(),
            });
        Self {
            rows: rows.collect(),
            base_change: of("before")
                .filter(|_| has_source)
                .map(|before| change(before, base)),
            step: events.last("step"),
            images: events.last("images"),
            seconds: events.last("seconds"),
            speed: events.last("images_per_second"),
            memory: events.last("peak_memory"),
        }
    }

    /// What stands at the top of the page: a number and what it is.
    pub fn facts(&self) -> Vec<(String, &'static str)> {
        let mut facts = vec![(self.rows.len().to_string(), "domains beside the base")];
        let mut add = |value: Option<String>, what| facts.extend(value.map(|value| (value, what)));
        add(self.step.map(number), "steps");
        add(self.images.map(number), "pictures seen");
        add(self.seconds.map(duration), "of training");
        add(self.speed.map(number), "pictures a second");
        add(self.base_change.map(number), "pixel change of the base");
        add(
            self.memory
                .map(|bytes| format!("{} GB", number(bytes / 1e9))),
            "memory at most",
        );
        facts
    }

    pub fn heads(&self) -> [&'static str; 7] {
        [
            "domain",
            "direction",
            "distance",
            "pixel change",
            "loss, first",
            "loss, last",
            "pictures",
        ]
    }

    pub fn rows(&self) -> Vec<Vec<String>> {
        let text = |value: Option<f64>| value.map_or("–".to_owned(), number);
        let mut rows = Vec::new();
        if self.base_change.is_some() {
            let none = || "–".to_owned();
            rows.push(vec![
                "base".to_owned(),
                none(),
                none(),
                text(self.base_change),
                none(),
                none(),
                none(),
            ]);
        }
        for row in &self.rows {
            rows.push(vec![
                row.name.clone(),
                row.dimension.to_string(),
                number(row.distance),
                text(row.change),
                text(row.loss.map(|loss| loss.0)),
                text(row.loss.and_then(|loss| loss.1)),
                row.verdict().map_or("–", Verdict::word).to_owned(),
            ]);
        }
        rows
    }

    pub fn to_json(&self) -> Json {
        let domains = self.rows.iter().map(|row| {
            json!({
                "name": row.name,
                "dimension": row.dimension,
                "distance": row.distance,
                "pixel_change": row.change,
                "loss_first": row.loss.map(|loss| loss.0),
                "loss_last": row.loss.and_then(|loss| loss.1),
                "verdict": row.verdict().map(Verdict::word),
            })
        });
        json!({
            "domains": domains.collect::<Vec<_>>(),
            "base_pixel_change": self.base_change,
            "steps": self.step,
            "images": self.images,
            "seconds": self.seconds,
            "images_per_second": self.speed,
            "peak_memory": self.memory,
        })
    }
}

/// Root mean square difference of pictures in [−1, 1].
fn change(a: &[RgbImage], b: &[RgbImage]) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for (a, b) in a.iter().zip(b) {
        for (x, y) in a.as_raw().iter().zip(b.as_raw()) {
            sum += (f64::from(*x) - f64::from(*y)).powi(2);
        }
        count += a.as_raw().len();
    }
    (sum / count.max(1) as f64).sqrt() / 127.5
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(change: f64, loss: (f64, f64)) -> Option<Verdict> {
        row(change, (loss.0, Some(loss.1)), false).verdict()
    }

    fn row(change: f64, loss: (f64, Option<f64>), is_measured_by_what_learns: bool) -> Row {
        Row {
            name: "elf".to_owned(),
            dimension: 1,
            distance: 20.0,
            change: Some(change),
            loss: Some(loss),
            is_measured_by_what_learns,
        }
    }

    #[test]
    fn a_domain_is_judged_by_its_pictures_first() {
        assert_eq!(verdict(0.01, (1.0, 0.2)), Some(Verdict::Unchanged));
        assert_eq!(verdict(0.3, (1.0, 0.99)), Some(Verdict::LossNotLower));
        assert_eq!(verdict(0.3, (1.0, 0.6)), Some(Verdict::Changed));
    }

    #[test]
    fn a_loss_that_does_not_compare_is_no_verdict() {
        let one_tick = row(0.3, (1.0, None), false);
        let by_a_discriminator = row(0.3, (1.0, Some(2.0)), true);
        for row in [one_tick, by_a_discriminator] {
            assert_eq!(row.verdict(), Some(Verdict::Changed), "{row:?}");
        }
    }

    #[test]
    fn a_change_is_in_the_unit_of_pictures() {
        let flat = |v| vec![RgbImage::from_pixel(4, 4, image::Rgb([v; 3]))];
        assert!((change(&flat(0), &flat(255)) - 2.0).abs() < 1e-12);
        assert_eq!(change(&flat(9), &flat(9)), 0.0);
        assert_eq!(change(&[], &[]), 0.0);
        assert_eq!(
            [60.0, 600.0, 7200.0].map(duration),
            ["60 s", "10 min", "2.0 h"]
        );
    }
}

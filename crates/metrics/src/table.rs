//! Figures as tables.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::{Interval, leakage::cell};

/// Which way a figure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The lower.
    Lower,
    /// The higher.
    Higher,
}

/// How far a figure may be off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// A standard deviation.
    Std(f64),
    /// An interval that holds it 95 times of 100.
    Interval(Interval),
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What it is, in words.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// How far it may be off, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Which way it gets better.
    pub better: Better,
}

impl Measure {
    /// A figure of which no spread is known.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64, better: Better) -> Self {
        Self {
            name: name.into(),
            value,
            spread: None,
            better,
        }
    }

    /// The figure and its spread in digits: `0.0123 ± 0.0005`, `0.71 (0.66 to 0.76)`.
    #[must_use]
    pub fn digits(&self) -> String {
        let mut text = number(self.value);
        match self.spread {
            None => {}
            Some(Spread::Std(std)) => {
                let _ = write!(text, " ± {}", number(std));
            }
            Some(Spread::Interval(Interval { low, high })) => {
                let _ = write!(text, " ({} to {})", number(low), number(high));
            }
        }
        text
    }
}

/// Four digits that count, or three behind the point.
fn number(x: f64) -> String {
    match x.abs() {
        small if small >= 0.1 || small == 0.0 => format!("{x:.3}"),
        small if small >= 1e-6 => format!("{x:.5}"),
        _ => format!("{x:.1e}"),
    }
}

/// The figures as a Markdown table.
#[must_use]
pub fn markdown(measures: &[Measure]) -> String {
    let mut text = "| measure | figure | better |\n|---|--:|---|\n".to_owned();
    for measure in measures {
        let better = match measure.better {
            Better::Lower => "lower",
            Better::Higher => "higher",
        };
        let (name, digits) = (cell(&measure.name), measure.digits());
        let _ = writeln!(text, "| {name} | {digits} | {better} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_rows_with_their_spread() {
        let measures = [
            Measure::new("a|b", 12.345_67, Better::Lower),
            Measure {
                spread: Some(Spread::Std(0.000_52)),
                ..Measure::new("kernel distance", 0.012_34, Better::Lower)
            },
            Measure {
                spread: Some(Spread::Interval(Interval {
                    low: 0.66,
                    high: 0.76,
                })),
                ..Measure::new("recall", 0.71, Better::Higher)
            },
        ];
        let text = markdown(&measures);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| a\\|b | 12.346 | lower |",
                "| kernel distance | 0.01234 ± 0.00052 | lower |",
                "| recall | 0.710 (0.660 to 0.760) | higher |",
            ]
        );
        assert_eq!(number(-3.2e-9), "-3.2e-9");
    }
}

//! A contact sheet: strengths of one domain from left to right, of another from top to bottom.

use domex_data::grid::Grid;
use image::RgbImage;
use serde::Deserialize;

use crate::engine::{Frame, Info};
use crate::refusal::Refusal;
use crate::settings::Settings;

/// What the page asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// Of every picture, but for the two domains.
    pub settings: Settings,
    /// From left to right.
    x: Axis,
    /// From top to bottom.
    y: Axis,
}

/// Strengths of a domain.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Axis {
    domain: String,
    from: f64,
    to: f64,
    steps: usize,
}

impl Axis {
    fn strengths(&self) -> impl Iterator<Item = f64> {
        let (from, way, last) = (self.from, self.to - self.from, (self.steps - 1) as f64);
        (0..self.steps).map(move |step| from + way * step as f64 / last)
    }

    fn labels(&self) -> impl Iterator<Item = String> {
        self.strengths()
            .map(|strength| format!("{} {strength:.2}", self.domain))
    }
}

impl Sheet {
    /// Refuses what cannot be drawn.
    ///
    /// # Errors
    ///
    /// What is wrong, in plain words.
    pub fn check(&self, info: &Info) -> Result<(), Refusal> {
        if self.x.domain == self.y.domain {
            return Err(Refusal::Settings(
                "a sheet shows two different domains".into(),
            ));
        }
        for axis in [&self.x, &self.y] {
            if !(2..=9).contains(&axis.steps) {
                return Err(Refusal::Settings(format!(
                    "{} steps; give 2 to 9",
                    axis.steps
                )));
            }
        }
        // At the corners are the largest numbers.
        self.frames()
            .iter()
            .try_for_each(|frame| frame.from.check(info))
    }

    /// Row by row.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        let rows = self.y.strengths();
        let cells = rows.flat_map(|y| self.x.strengths().map(move |x| (x, y)));
        let settings = cells.map(|(x, y)| {
            let both = [(self.x.domain.as_str(), x), (self.y.domain.as_str(), y)];
            self.settings.clone().with_strengths(&both)
        });
        settings.map(Frame::still).collect()
    }

    /// With the strengths beside the pictures.
    pub(crate) fn draw(&self, pictures: &[RgbImage]) -> Result<RgbImage, Refusal> {
        let grid = Grid::new(self.x.steps)
            .column_labels(self.x.labels())
            .row_labels(self.y.labels());
        Ok(grid.draw(pictures)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_has_the_first_strength_of_the_second_domain() {
        let sheet: Sheet = serde_json::from_str(
            r#"{"settings":{"source":{"seed":1},"domains":{"a":9,"c":0.5}},
                "x":{"domain":"a","from":0,"to":1,"steps":3},"y":{"domain":"b","from":-1,"to":1,"steps":2}}"#,
        )
        .unwrap();
        let cells = sheet.frames().into_iter().map(|frame| frame.from.domains);
        let cells: Vec<_> = cells.map(|at| (at["a"], at["b"], at["c"])).collect();
        assert_eq!(
            cells[..3],
            [(0.0, -1.0, 0.5), (0.5, -1.0, 0.5), (1.0, -1.0, 0.5)]
        );
        assert_eq!(cells[5], (1.0, 1.0, 0.5));
    }
}

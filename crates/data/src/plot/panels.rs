//! Several curves of one measure, each over something else, side by side.

use std::path::Path;

use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{BLUE, Drawn, GREY, font, heading, log_range, picture, style_mesh, svg, write};
use crate::error::{Error, Result};

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What it is drawn over.
    pub over: String,
    /// Places and values, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Curves of one measure on one logarithmic axis.
///
/// ```
/// use domex_data::plot::{Panel, Panels};
/// let panels = Panels {
///     title: "A distance".into(),
///     measure: "distance".into(),
///     panels: vec![Panel { over: "blur".into(), points: vec![(0.0, 0.1), (1.0, 0.5)] }],
/// };
/// assert!(panels.to_svg()?.starts_with("<svg"));
/// # Ok::<(), domex_data::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panels {
    /// The heading.
    pub title: String,
    /// What the values are.
    pub measure: String,
    /// The curves.
    pub panels: Vec<Panel>,
}

impl Panels {
    const HEIGHT: u32 = 360;
    const WIDTH: u32 = 300;

    /// The plot as a picture.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] without a positive value, [`Error::Encode`] from the drawing.
    pub fn to_picture(&self) -> Result<RgbImage> {
        self.check()?;
        picture(self.size(), |root| self.draw(root))
    }

    /// The plot as the text of an SVG file.
    ///
    /// # Errors
    ///
    /// As [`Panels::to_picture`].
    pub fn to_svg(&self) -> Result<String> {
        self.check()?;
        svg(self.size(), |root| self.draw(root))
    }

    /// Writes `path` as PNG, or as SVG when its name ends so.
    ///
    /// # Errors
    ///
    /// As [`Panels::to_picture`], and [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write(path, || self.to_picture(), || self.to_svg())
    }

    fn size(&self) -> (u32, u32) {
        (Self::WIDTH * self.panels.len() as u32 + 60, Self::HEIGHT)
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let points = self.panels.iter().flat_map(|panel| &panel.points);
        points.map(|&(_, value)| value)
    }

    fn check(&self) -> Result<()> {
        let empty = self.panels.iter().any(|panel| panel.points.is_empty());
        if !empty && self.values().any(|value| value.is_finite() && value > 0.0) {
            return Ok(());
        }
        Err(Error::Shape {
            what: "values of a plot of curves",
            found: "a curve without points, or no positive value".into(),
            expected: "points in each curve, one of them positive".into(),
        })
    }

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        heading(root, &self.title)?;
        let (_, body) = root.split_vertically(48);
        let (low, high) = log_range(self.values());
        for (panel, area) in self
            .panels
            .iter()
            .zip(body.split_evenly((1, self.panels.len())))
        {
            let mut ends = (f64::MAX, f64::MIN);
            for &(x, _) in &panel.points {
                ends = (ends.0.min(x), ends.1.max(x));
            }
            let room = 0.04 * (ends.1 - ends.0).max(1e-9);
            let mut builder = ChartBuilder::on(&area);
            builder.margin_left(10).margin_right(14).margin_bottom(10);
            builder.y_label_area_size(66).x_label_area_size(46);
            let x_range = ends.0 - room..ends.1 + room;
            let mut chart = builder.build_cartesian_2d(x_range, (low..high).log_scale())?;
            let mut mesh = chart.configure_mesh();
            mesh.y_desc(&self.measure).x_desc(&panel.over);
            style_mesh(&mut mesh)?;
            let points = || panel.points.iter().map(|&(x, y)| (x, y.max(low)));
            chart.draw_series(LineSeries::new(points(), BLUE.mix(0.5).stroke_width(2)))?;
            chart.draw_series(points().map(|point| Circle::new(point, 4, BLUE.filled())))?;
            let labelled = points().map(|(x, y)| {
                let text = format!("{y:.3}");
                EmptyElement::at((x, y)) + Text::new(text, (-14, -20), font(12).color(&GREY))
            });
            chart.draw_series(labelled)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panels(points: Vec<(f64, f64)>) -> Panels {
        let over = "noise".to_owned();
        Panels {
            title: "Distances".into(),
            measure: "distance".into(),
            panels: vec![Panel { over, points }; 2],
        }
    }

    #[test]
    fn a_curve_is_drawn_for_each_panel() {
        let drawn = panels(vec![(0.0, 0.1), (1.0, 2.0)]).to_svg().unwrap();
        assert_eq!(drawn.matches("noise").count(), 2, "{drawn}");
        let picture = panels(vec![(0.0, 0.1), (1.0, 2.0)]).to_picture().unwrap();
        assert_eq!(picture.dimensions(), (660, 360));
    }

    #[test]
    fn a_curve_without_points_is_refused() {
        let error = panels(Vec::new()).to_picture().unwrap_err().to_string();
        assert!(error.contains("curve"), "{error}");
    }
}

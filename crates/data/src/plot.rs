//! Plots, drawn once and written as PNG or SVG.
//!
//! [`Spectrum`] shows which directions of a latent space the generator uses: singular values on a logarithmic axis,
//! and under them the effect that was measured when moving along each direction. It uses the embedded font; an SVG
//! names it and lets the viewer fall back.

mod panels;

use std::path::Path;
use std::sync::Once;

use image::RgbImage;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::error::{Error, Result};
use crate::folder::write_atomic;
use crate::picture::write_png;
use crate::text;
pub use panels::{Panel, Panels};

/// The registered family; an SVG viewer without DejaVu takes the next one.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
const INK: RGBColor = RGBColor(34, 38, 46);
const GREY: RGBColor = RGBColor(112, 118, 130);
const GRID: RGBColor = RGBColor(232, 234, 239);
const BLUE: RGBColor = RGBColor(44, 105, 200);
const TEAL: RGBColor = RGBColor(20, 148, 132);
const ORANGE: RGBColor = RGBColor(226, 104, 28);
/// A result within a backend.
type Drawn<DB> = std::result::Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// The measured effect of moving along one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Index of the direction in the basis.
    pub direction: usize,
    /// Root mean square change of a pixel, in [0, 2] for pictures in [−1, 1].
    pub pixel: f64,
    /// Perceptual distance, in the unit of the measure that was used.
    pub perceptual: f64,
}

/// The spectrum of a latent basis. Singular values are required, the rest is drawn when it is there.
///
/// ```
/// use domex_data::plot::{Effect, Spectrum};
/// let spectrum = Spectrum {
///     title: "A latent space of 64 directions".into(),
///     singular_values: (0..64).map(|i| 8.0 * (-0.07 * i as f64).exp()).collect(),
///     effects: (0..64).map(|i| Effect { direction: i, pixel: 0.3 / (1 + i) as f64, perceptual: 0.2 / (1 + i) as f64 }).collect(),
///     dormant_below: Some(0.02),
///     repurposed: vec![(63, "sketch".into())],
/// };
/// assert!(spectrum.to_svg()?.starts_with("<svg"));
/// # Ok::<(), domex_data::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spectrum {
    /// The heading.
    pub title: String,
    /// Singular values of the acting matrices, falling.
    pub singular_values: Vec<f64>,
    /// Measured effects, of all directions or some.
    pub effects: Vec<Effect>,
    /// The pixel effect under which a direction counts as dormant.
    pub dormant_below: Option<f64>,
    /// Directions that were given to a domain, with the domain's name.
    pub repurposed: Vec<(usize, String)>,
}

impl Spectrum {
    const SIZE: (u32, u32) = (1120, 760);

    /// The plot as a picture.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] without singular values, [`Error::Encode`] from the drawing.
    pub fn to_picture(&self) -> Result<RgbImage> {
        self.check()?;
        picture(Self::SIZE, |root| self.draw(root))
    }

    /// The plot as the text of an SVG file.
    ///
    /// # Errors
    ///
    /// As [`Spectrum::to_picture`].
    pub fn to_svg(&self) -> Result<String> {
        self.check()?;
        svg(Self::SIZE, |root| self.draw(root))
    }

    /// Writes `path` as PNG, or as SVG when its name ends so.
    ///
    /// # Errors
    ///
    /// As [`Spectrum::to_picture`], and [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write(path, || self.to_picture(), || self.to_svg())
    }

    fn check(&self) -> Result<()> {
        let finite = self
            .singular_values
            .iter()
            .any(|v| v.is_finite() && *v > 0.0);
        if finite {
            return Ok(());
        }
        Err(Error::Shape {
            what: "singular values of a spectrum plot",
            found: format!(
                "{} values, none of them positive",
                self.singular_values.len()
            ),
            expected: "one or more positive values".into(),
        })
    }

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        let (width, height) = root.dim_in_pixel();
        heading(root, &self.title)?;
        if !self.repurposed.is_empty() {
            let names: Vec<_> = self
                .repurposed
                .iter()
                .map(|(i, name)| format!("{i} {name}"))
                .collect();
            let line = text::Font::regular(15.0)
                .fit(&format!("repurposed: {}", names.join(" · ")), width - 80);
            root.draw(&Circle::new((33, 57), 4, ORANGE.filled()))?;
            root.draw(&Text::new(line, (44, 49), font(15).color(&GREY)))?;
        }
        let (_, body) = root.split_vertically(if self.repurposed.is_empty() { 48 } else { 72 });
        if self.effects.is_empty() {
            return self.draw_singular_values(&body, true);
        }
        let (upper, lower) = body.split_vertically((height - 80) * 46 / 100);
        self.draw_singular_values(&upper, false)?;
        self.draw_effects(&lower)
    }

    fn draw_singular_values<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        last: bool,
    ) -> Drawn<DB> {
        let values = &self.singular_values;
        let (low, high) = log_range(values.iter().copied());
        let mut builder = ChartBuilder::on(area);
        builder
            .margin_left(18)
            .margin_right(30)
            .margin_top(6)
            .margin_bottom(8);
        builder
            .y_label_area_size(74)
            .x_label_area_size(if last { 46 } else { 26 });
        let mut chart = builder.build_cartesian_2d(self.x_range(), (low..high).log_scale())?;
        let mut mesh = chart.configure_mesh();
        mesh.y_desc("singular value");
        if last {
            mesh.x_desc("direction, from the strongest to the most dormant");
        }
        style_mesh(&mut mesh)?;
        let point = |i: usize| {
            values
                .get(i)
                .filter(|v| v.is_finite())
                .map(|&v| (i as f64, v.max(low)))
        };
        chart.draw_series(LineSeries::new(
            (0..values.len()).filter_map(point),
            BLUE.mix(0.35).stroke_width(1),
        ))?;
        let radius = if values.len() > 128 { 2 } else { 3 };
        chart.draw_series(
            (0..values.len())
                .filter_map(point)
                .map(|p| Circle::new(p, radius, BLUE.filled())),
        )?;
        let marks = self.repurposed.iter().filter_map(|&(i, _)| point(i));
        chart.draw_series(marks.map(|p| Circle::new(p, 4, ORANGE.filled())))?;
        Ok(())
    }

    fn draw_effects<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        let all = self
            .effects
            .iter()
            .flat_map(|e| [e.pixel, e.perceptual])
            .chain(self.dormant_below);
        let (low, high) = log_range(all);
        // The legend takes the upper quarter: no point may hide behind it.
        let high = high * (high / low).powf(0.33);
        let mut builder = ChartBuilder::on(area);
        builder
            .margin_left(18)
            .margin_right(30)
            .margin_top(4)
            .margin_bottom(10);
        builder.y_label_area_size(74).x_label_area_size(46);
        let mut chart = builder.build_cartesian_2d(self.x_range(), (low..high).log_scale())?;
        let mut mesh = chart.configure_mesh();
        mesh.y_desc("measured effect")
            .x_desc("direction, from the strongest to the most dormant");
        style_mesh(&mut mesh)?;
        let x_range = self.x_range();
        let clip = |v: f64| if v.is_finite() { v.max(low) } else { low };

        if let Some(threshold) = self.dormant_below.filter(|t| *t > 0.0 && t.is_finite()) {
            let corners = [(x_range.start, low), (x_range.end, threshold)];
            chart.draw_series([Rectangle::new(corners, TEAL.mix(0.08).filled())])?;
            let count = self.effects.iter().filter(|e| e.pixel < threshold).count();
            let line = [(x_range.start, threshold), (x_range.end, threshold)];
            chart
                .draw_series(DashedLineSeries::new(line, 6, 4, TEAL.stroke_width(1)))?
                .label(format!(
                    "dormant: pixel effect < {threshold} ({count} of {})",
                    self.effects.len()
                ))
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], TEAL.stroke_width(2)));
        }
        let radius = if self.effects.len() > 128 { 2 } else { 3 };
        let points = self
            .effects
            .iter()
            .map(|e| (e.direction as f64, clip(e.perceptual)));
        chart
            .draw_series(
                points.map(|p| TriangleMarker::new(p, radius + 2, GREY.mix(0.7).filled())),
            )?
            .label("perceptual distance")
            .legend(|(x, y)| TriangleMarker::new((x + 9, y), 5, GREY.filled()));
        let points = self
            .effects
            .iter()
            .map(|e| (e.direction as f64, clip(e.pixel)));
        chart
            .draw_series(points.map(|p| Circle::new(p, radius, BLUE.filled())))?
            .label("pixel effect (RMS)")
            .legend(|(x, y)| Circle::new((x + 9, y), 4, BLUE.filled()));
        let marked = |e: &&Effect| self.repurposed.iter().any(|(i, _)| *i == e.direction);
        let marks = self
            .effects
            .iter()
            .filter(marked)
            .map(|e| (e.direction as f64, clip(e.pixel)));
        chart.draw_series(marks.map(|p| Circle::new(p, 4, ORANGE.filled())))?;
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.9))
            .border_style(GRID)
            .label_font(font(14).color(&INK))
            .margin(8)
            .draw()
    }

    fn x_range(&self) -> std::ops::Range<f64> {
        let last = self
            .effects
            .iter()
            .map(|e| e.direction + 1)
            .chain([self.singular_values.len()])
            .max();
        let last = last.unwrap_or(1) as f64;
        -0.012 * last - 0.5..last * 1.012 - 0.5
    }
}

/// The regular face at a size.
fn font(size: i32) -> TextStyle<'static> {
    (FAMILY, size).into_text_style(&(1, 1)).color(&INK)
}

/// The heading at the top left.
fn heading<DB: DrawingBackend>(root: &DrawingArea<DB, Shift>, title: &str) -> Drawn<DB> {
    let title = text::Font::bold(22.0).fit(title, root.dim_in_pixel().0.saturating_sub(60));
    let style = (FAMILY, 22, FontStyle::Bold)
        .into_text_style(&(1, 1))
        .color(&INK);
    root.draw(&Text::new(title, (28, 18), style))
}

/// Light lines, no frame, numbers in the embedded font.
fn style_mesh<DB, X, Y>(mesh: &mut plotters::chart::MeshStyle<'_, '_, X, Y, DB>) -> Drawn<DB>
where
    DB: DrawingBackend,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    mesh.bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(GREY.mix(0.6))
        .x_label_formatter(&|v| number(*v))
        .y_label_formatter(&|v| number(*v))
        .x_labels(12)
        .y_labels(8)
        .label_style(font(14).color(&GREY))
        .axis_desc_style(font(15))
        .draw()
}

/// A short form of a number on an axis.
fn number(v: f64) -> String {
    if v == 0.0 {
        return "0".into();
    }
    let text = match v.abs() {
        a if a >= 1e6 => format!("{}M", round_to(v / 1e6, 3)),
        a if a >= 1e4 => format!("{}k", round_to(v / 1e3, 3)),
        a if a >= 1e-3 => format!("{}", round_to(v, 3)),
        _ => format!("{v:.0e}"),
    };
    text.replace('-', "−")
}

/// Rounded to so many significant digits.
fn round_to(v: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits - 1 - v.abs().log10().floor() as i32);
    (v * scale).round() / scale
}

/// Bounds of a logarithmic axis around the positive values, over no more than 8 decades.
fn log_range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::MAX, f64::MIN_POSITIVE);
    for v in values.filter(|v| v.is_finite() && *v > 0.0) {
        low = low.min(v);
        high = high.max(v);
    }
    let (low, high) = if low > high {
        (0.1, 1.0)
    } else {
        (low.max(high * 1e-8), high)
    };
    let room = (high / low).powf(0.06).max(1.3);
    (low / room, high * room)
}

/// Makes the embedded faces known to the plotting crate.
fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A failure would show as an error of the first text that is drawn.
        let _ = plotters::style::register_font(FAMILY, FontStyle::Normal, text::REGULAR);
        let _ = plotters::style::register_font(FAMILY, FontStyle::Bold, text::BOLD);
    });
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Encode {
        what: "a plot",
        reason: e.to_string(),
    }
}

fn picture(
    (w, h): (u32, u32),
    draw: impl FnOnce(&DrawingArea<BitMapBackend<'_>, Shift>) -> Drawn<BitMapBackend<'static>>,
) -> Result<RgbImage> {
    register_fonts();
    let mut bytes = vec![255; 3 * w as usize * h as usize];
    {
        let root = BitMapBackend::with_buffer(&mut bytes, (w, h)).into_drawing_area();
        draw(&root).map_err(failed)?;
        root.present().map_err(failed)?;
    }
    RgbImage::from_raw(w, h, bytes).ok_or_else(|| failed("the buffer has the wrong size"))
}

fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn<SVGBackend<'static>>,
) -> Result<String> {
    register_fonts();
    let mut out = String::new();
    {
        let root = SVGBackend::with_string(&mut out, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        draw(&root).map_err(failed)?;
        root.present().map_err(failed)?;
    }
    Ok(out)
}

fn write(
    path: &Path,
    picture: impl FnOnce() -> Result<RgbImage>,
    svg: impl FnOnce() -> Result<String>,
) -> Result<()> {
    let is_svg = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("svg"));
    if is_svg {
        write_atomic(path, svg()?.as_bytes())
    } else {
        write_png(path, &picture()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectrum() -> Spectrum {
        Spectrum {
            title: "Directions of W".into(),
            singular_values: (0..512)
                .map(|i| 9.0 * (-0.011 * f64::from(i)).exp())
                .collect(),
            effects: (0..512)
                .map(|i| Effect {
                    direction: i,
                    pixel: 0.4 / (1.0 + i as f64),
                    perceptual: 0.3 / (1.0 + i as f64),
                })
                .collect(),
            dormant_below: Some(0.01),
            repurposed: vec![(511, "sketch".into()), (510, "<zombie>".into())],
        }
    }

    #[test]
    fn the_same_plot_as_picture_and_svg() {
        let s = spectrum();
        let picture = s.to_picture().unwrap();
        assert_eq!(picture.dimensions(), (1120, 760));
        let has = |c: RGBColor| picture.pixels().any(|p| p.0 == [c.0, c.1, c.2]);
        assert!(has(BLUE) && has(ORANGE), "points and marks are there");
        let svg = s.to_svg().unwrap();
        assert!(
            svg.contains("dormant")
                && svg.contains("&lt;zombie&gt;")
                && svg.trim_end().ends_with("</svg>")
        );
        // Everything stays within the picture: the border is white.
        let (w, h) = picture.dimensions();
        for (x, y, p) in picture.enumerate_pixels() {
            assert!(
                (x > 2 && y > 2 && x + 3 < w && y + 3 < h) || p.0 == [255; 3],
                "at {x}, {y}"
            );
        }
    }

    #[test]
    fn odd_values_do_not_break_a_plot() {
        let mut s = spectrum();
        s.singular_values[100] = 0.0;
        s.singular_values[101] = f64::NAN;
        s.effects[5].pixel = 0.0;
        s.effects[6].perceptual = f64::INFINITY;
        s.dormant_below = None;
        assert!(s.to_picture().is_ok());
        s.effects.clear();
        s.singular_values = vec![2.0];
        assert!(s.to_svg().is_ok());
        s.singular_values.clear();
        assert!(s.to_picture().is_err());
    }

    #[test]
    fn numbers_are_short() {
        for (v, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (1e-5, "1e−5"),
            (25_000.0, "25k"),
            (-3.0, "−3"),
            (0.001, "0.001"),
            (9999.6, "10000"),
        ] {
            assert_eq!(number(v), text);
        }
    }
}

//! Line charts as SVG that takes its colours from the page, so that they follow its scheme.

use std::fmt::Write as _;

use html_escape::encode_double_quoted_attribute as escape;

use super::page::number;

/// Colours that the style sheet has for lines.
pub const COLOURS: usize = 8;

const HEIGHT: f64 = 200.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
const RIGHT: f64 = 10.0;

/// A curve; points that are not finite are left out.
#[derive(Debug, Default)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// See the [module docs](self).
#[derive(Debug, Default)]
pub struct Chart {
    pub title: String,
    pub x_label: &'static str,
    /// Whether the vertical axis is logarithmic.
    pub log: bool,
    /// Twice as wide as high, or more.
    pub wide: bool,
    pub lines: Vec<Line>,
    /// Points that stand out, each with a name.
    pub marks: Vec<(f64, f64, String)>,
}

/// From numbers to places in the drawing.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
    log: bool,
    width: f64,
}

impl Scale {
    fn x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (self.width - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        let share = match self.log {
            true => (y / self.y.0).ln() / (self.y.1 / self.y.0).ln(),
            false => (y - self.y.0) / (self.y.1 - self.y.0),
        };
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

impl Chart {
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            ..Self::default()
        }
    }

    /// The drawing; empty where there is nothing to draw.
    pub fn svg(&self) -> String {
        let Some(scale) = self.scale() else {
            return String::new();
        };
        let width = scale.width;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        );
        self.axes(&mut svg, &scale);
        for (i, line) in self.lines.iter().enumerate() {
            let points: Vec<String> = self
                .fit(line)
                .map(|(x, y)| format!("{:.1},{:.1}", scale.x(x), scale.y(y)))
                .collect();
            let _ = write!(
                svg,
                "<polyline class=\"line c{}\" points=\"{}\"><title>{}</title></polyline>",
                i % COLOURS,
                points.join(" "),
                escape(&line.name)
            );
            // A single point makes no line.
            if let [point] = &points[..]
                && let Some((x, y)) = point.split_once(',')
            {
                let _ = write!(
                    svg,
                    "<circle class=\"dot c{}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>",
                    i % COLOURS
                );
            }
        }
        for (x, y, name) in self.marks.iter().filter(|(x, y, _)| self.drawable(*x, *y)) {
            let _ = write!(
                svg,
                "<circle class=\"mark\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{}, direction {x}</title></circle>",
                scale.x(*x),
                scale.y(*y),
                escape(name)
            );
        }
        svg += "</svg>";
        svg
    }

    fn drawable(&self, x: f64, y: f64) -> bool {
        x.is_finite() && y.is_finite() && (!self.log || y > 0.0)
    }

    fn fit<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = (f64, f64)> + 'a {
        line.points
            .iter()
            .copied()
            .filter(|(x, y)| self.drawable(*x, *y))
    }

    fn scale(&self) -> Option<Scale> {
        let (mut x, mut y) = (NOTHING, NOTHING);
        for (px, py) in self.lines.iter().flat_map(|line| self.fit(line)) {
            x = (x.0.min(px), x.1.max(px));
            y = (y.0.min(py), y.1.max(py));
        }
        if x.0 > x.1 {
            return None;
        }
        if x.0 == x.1 {
            x = (x.0 - 1.0, x.1 + 1.0);
        }
        y = match self.log {
            // A value of rounding errors must not squeeze all the others.
            true => (y.0.max(y.1 * 1e-8) / 1.1, y.1 * 1.1),
            false => {
                let room = ((y.1 - y.0) * 0.06).max(y.1.abs() * 1e-3).max(1e-9);
                (y.0 - room, y.1 + room)
            }
        };
        let width = if self.wide { 720.0 } else { 360.0 };
        let log = self.log;
        Some(Scale { x, y, log, width })
    }

    fn axes(&self, svg: &mut String, scale: &Scale) {
        let (right, floor) = (scale.width - RIGHT, HEIGHT - BOTTOM);
        for y in ticks(scale.y, scale.log) {
            let at = scale.y(y);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 5.0,
                at + 3.5,
                number(y)
            );
        }
        for x in ticks(scale.x, false) {
            let at = scale.x(x);
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                floor + 14.0,
                number(x)
            );
        }
        let middle = (LEFT + right) / 2.0;
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{floor}\" y2=\"{floor}\"/>\
             <text class=\"tick\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 5.0,
            escape(self.x_label)
        );
    }
}

/// A range that any number widens.
const NOTHING: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

/// Round numbers in a range, about five; powers of ten, or 1, 2, 5 between them, on a logarithmic axis.
fn ticks((low, high): (f64, f64), log: bool) -> Vec<f64> {
    if log {
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let every = (decades.clone().count() as i32 / 6).max(1);
        let few = high / low < 30.0;
        let steps: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = decades
            .filter(|d| d % every == 0)
            .flat_map(|d| steps.iter().map(move |s| s * 10f64.powi(d)));
        let found: Vec<f64> = all.filter(|v| (low..=high).contains(v)).collect();
        if found.len() > 1 {
            return found;
        }
    }
    let rough = (high - low) / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .iter()
        .map(|s| s * power)
        .find(|s| *s >= rough)
        .unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..first + 12)
        .map(|i| i as f64 * step)
        .take_while(|v| *v <= high)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 10.0), false), [0.0, 5.0, 10.0]);
        assert_eq!(ticks((0.9, 1100.0), true), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(ticks((0.9, 6.0), true), [1.0, 2.0, 5.0]);
        assert!(ticks((3.1, 3.2), true).len() > 1);
    }

    #[test]
    fn odd_values_are_left_out_and_names_are_escaped() {
        let line = Line {
            name: "<script>".into(),
            points: vec![(0.0, f64::NAN), (1.0, 2.0), (2.0, 0.0), (3.0, 4.0)],
        };
        let mut chart = Chart {
            log: true,
            lines: vec![line],
            marks: vec![(1.0, f64::NAN, "x".into())],
            ..Chart::new("a & b")
        };
        let svg = chart.svg();
        assert!(
            !svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<script"),
            "{svg}"
        );
        assert!(svg.contains("a &amp; b") && svg.contains("polyline"));
        chart.lines[0].points.truncate(2);
        assert!(chart.svg().contains("circle"), "one point is a dot");
        chart.lines.clear();
        assert_eq!(chart.svg(), "");
    }
}

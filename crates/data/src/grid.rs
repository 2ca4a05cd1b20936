//! A labelled grid of pictures: dark text on white, small pictures enlarged by a whole factor.
//!
//! Pictures fill the grid row by row. Labels wrap to the width of their column, long row labels to a third of a
//! line, and what still does not fit ends in an ellipsis, so no text is ever clipped.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::error::{Error, Result};
use crate::picture::{enlarge, same_size};
use crate::text::Font;

/// The largest grid that is drawn, in pixels.
const MOST_PIXELS: u64 = 1 << 27;
/// Unless it is said otherwise, pictures whose longer side is shorter are enlarged to this,
const AT_LEAST: u32 = 128;
/// and larger ones reduced to this.
const AT_MOST: u32 = 512;
/// Text colours: headings and labels, and the paler captions under pictures.
const INK: [u8; 3] = [34, 38, 46];
const CAPTION: [u8; 3] = [96, 102, 114];

/// What a grid looks like. Make one with [`Grid::new`], set what is wanted, then [`Grid::draw`].
///
/// ```
/// use domex_data::grid::Grid;
/// let pictures = vec![image::RgbImage::new(64, 64); 6];
/// let grid = Grid::new(3).title("Six pictures").column_labels(["a", "b", "c"]).row_labels(["first", "second"]);
/// let picture = grid.draw(&pictures)?;
/// assert!(picture.width() > 3 * 128, "64² pictures are shown at 128²");
/// # Ok::<(), domex_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Grid {
    columns: usize,
    title: String,
    column_labels: Vec<String>,
    row_labels: Vec<String>,
    captions: Vec<String>,
    at_least: u32,
    at_most: u32,
}

/// Where everything of a grid stands, in pixels.
struct Plan {
    size: (u32, u32),
    label: Font,
    caption: Font,
    heading: Font,
    rows: u32,
    columns: u32,
    cell: (u32, u32),
    /// From one row to the next.
    step: u32,
    gap: u32,
    margin: u32,
    /// Where the pictures begin.
    left: u32,
    top: u32,
    row_lines: Vec<Vec<String>>,
    row_width: u32,
    column_lines: Vec<Vec<String>>,
}

impl Grid {
    /// A grid with this many columns, without labels.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            columns: columns.max(1),
            title: String::new(),
            column_labels: Vec::new(),
            row_labels: Vec::new(),
            captions: Vec::new(),
            at_least: AT_LEAST,
            at_most: AT_MOST,
        }
    }

    /// A heading over the whole grid.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// A label over each column; missing ones are left blank.
    #[must_use]
    pub fn column_labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.column_labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// A label to the left of each row; missing ones are left blank.
    #[must_use]
    pub fn row_labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.row_labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// A caption under each picture, in the order of the pictures; missing ones are left blank.
    #[must_use]
    pub fn captions<S: Into<String>>(mut self, captions: impl IntoIterator<Item = S>) -> Self {
        self.captions = captions.into_iter().map(Into::into).collect();
        self
    }

    /// The sizes in which pictures are shown: the longer side is enlarged by a whole factor until it reaches
    /// `at_least` (128 unless set), and reduced to `at_most` (512 unless set) when larger.
    #[must_use]
    pub fn sizes(mut self, at_least: u32, at_most: u32) -> Self {
        self.at_least = at_least.max(1);
        self.at_most = at_most.max(self.at_least);
        self
    }

    /// Whether a grid of so many pictures of this size can be drawn, for those who are about to make them.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when it would be unreasonably large.
    pub fn check(&self, count: usize, (w, h): (u32, u32)) -> Result<()> {
        self.plan(count, (w, h)).map(drop)
    }

    fn plan(&self, count: usize, (w, h): (u32, u32)) -> Result<Plan> {
        let (cell_w, cell_h) = self.cell_size(w, h);
        let rows = count.div_ceil(self.columns) as u32;
        let columns = self.columns.min(count) as u32;

        // Everything else is in proportion to the picture's size.
        let unit = (cell_w.min(cell_h) as f32 * 0.11).clamp(13.0, 30.0);
        let (label, caption, heading) = (
            Font::regular(unit),
            Font::regular(unit * 0.88),
            Font::bold(unit * 1.35),
        );
        let gap = (unit * 0.4).round() as u32;
        let margin = (unit * 1.2).round() as u32;

        let row_lines: Vec<_> = self
            .row_labels
            .iter()
            .map(|t| label.wrap(t, (unit * 11.0) as u32, 3))
            .collect();
        let row_width = row_lines
            .iter()
            .flatten()
            .map(|l| label.width(l))
            .max()
            .unwrap_or(0);
        let left = margin
            + if row_width > 0 {
                row_width + gap * 2
            } else {
                0
            };
        let column_lines: Vec<_> = self
            .column_labels
            .iter()
            .map(|t| label.wrap(t, cell_w, 3))
            .collect();
        let column_height =
            column_lines.iter().map(Vec::len).max().unwrap_or(0) as u32 * label.line_height();
        let title_height = if self.title.is_empty() {
            0
        } else {
            heading.line_height() + gap * 2
        };
        let top = margin
            + title_height
            + if column_height > 0 {
                column_height + gap
            } else {
                0
            };
        let caption_height = if self.captions.is_empty() {
            0
        } else {
            caption.line_height()
        };

        let grid_w = u64::from(columns) * u64::from(cell_w + gap) - u64::from(gap);
        let title_w = u64::from(heading.width(&self.title)).min(grid_w.max(480));
        let width = u64::from(left)
            + grid_w.max(title_w.saturating_sub(u64::from(left - margin)))
            + u64::from(margin);
        let step = cell_h + caption_height + gap;
        let height =
            u64::from(top) + u64::from(rows) * u64::from(step) - u64::from(gap) + u64::from(margin);
        if width * height > MOST_PIXELS {
            return Err(Error::Shape {
                what: "a grid of pictures",
                found: format!("{width} × {height} pixels"),
                expected: format!(
                    "at most {MOST_PIXELS} pixels in all: use fewer or smaller pictures"
                ),
            });
        }

        Ok(Plan {
            size: (width as u32, height as u32),
            label,
            caption,
            heading,
            rows,
            columns,
            cell: (cell_w, cell_h),
            step,
            gap,
            margin,
            left,
            top,
            row_lines,
            row_width,
            column_lines,
        })
    }

    /// Draws the grid.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when there is no picture, the pictures' sizes differ, or the grid would be unreasonably large.
    pub fn draw(&self, pictures: &[RgbImage]) -> Result<RgbImage> {
        let plan = self.plan(pictures.len(), same_size(pictures)?)?;
        let (width, height) = plan.size;
        let mut canvas = RgbImage::from_pixel(width, height, Rgb([255; 3]));
        plan.draw_title(&mut canvas, &self.title);
        plan.draw_column_labels(&mut canvas);
        plan.draw_row_labels(&mut canvas);
        for (i, picture) in pictures.iter().enumerate() {
            let (row, column) = ((i / self.columns) as u32, (i % self.columns) as u32);
            let caption = self.captions.get(i).map(String::as_str);
            plan.draw_cell(&mut canvas, (row, column), picture, caption);
        }
        Ok(canvas)
    }

    /// The size in which a picture is shown.
    fn cell_size(&self, w: u32, h: u32) -> (u32, u32) {
        let longer = w.max(h);
        if longer > self.at_most {
            return scaled((w, h), self.at_most);
        }
        let factor = self
            .at_least
            .div_ceil(longer)
            .min((self.at_most / longer).max(1));
        (w * factor, h * factor)
    }
}

impl Plan {
    fn draw_title(&self, canvas: &mut RgbImage, title: &str) {
        if !title.is_empty() {
            let title = self.heading.fit(title, self.size.0 - 2 * self.margin);
            let margin = i64::from(self.margin);
            self.heading.draw(canvas, margin, margin, INK, &title);
        }
    }

    fn draw_column_labels(&self, canvas: &mut RgbImage) {
        let label = &self.label;
        let columns = self.column_lines.iter().take(self.columns as usize);
        for (i, lines) in columns.enumerate() {
            let x = self.left + i as u32 * (self.cell.0 + self.gap);
            // Labels of one line stand next to the pictures, not high above them.
            let mut y = self.top - self.gap - lines.len() as u32 * label.line_height();
            for line in lines {
                let x = x + (self.cell.0 - label.width(line)) / 2;
                label.draw(canvas, i64::from(x), i64::from(y), INK, line);
                y += label.line_height();
            }
        }
    }

    fn draw_row_labels(&self, canvas: &mut RgbImage) {
        let label = &self.label;
        let rows = self.row_lines.iter().take(self.rows as usize);
        for (i, lines) in rows.enumerate() {
            let middle = self.top + i as u32 * self.step + self.cell.1 / 2;
            let above = lines.len() as u32 * label.line_height() / 2;
            let mut y = i64::from(middle) - i64::from(above);
            for line in lines {
                let x = self.margin + self.row_width - label.width(line);
                label.draw(canvas, i64::from(x), y, INK, line);
                y += i64::from(label.line_height());
            }
        }
    }

    /// The picture in a row and a column, and what stands under it.
    fn draw_cell(
        &self,
        canvas: &mut RgbImage,
        (row, column): (u32, u32),
        picture: &RgbImage,
        caption: Option<&str>,
    ) {
        let (w, h) = self.cell;
        let x = self.left + column * (w + self.gap);
        let y = self.top + row * self.step;
        imageops::replace(canvas, &fitted(picture, w, h), i64::from(x), i64::from(y));
        if let Some(text) = caption {
            let text = self.caption.fit(text, w);
            let x = x + (w - self.caption.width(&text)) / 2;
            self.caption
                .draw(canvas, i64::from(x), i64::from(y + h), CAPTION, &text);
        }
    }
}

/// A picture no larger than a grid of the usual [sizes](Grid::sizes) shows it: what is kept of it until the grid is drawn.
#[must_use]
pub fn reduced(picture: RgbImage) -> RgbImage {
    let (w, h) = picture.dimensions();
    if w.max(h) <= AT_MOST {
        return picture;
    }
    let (w, h) = scaled((w, h), AT_MOST);
    fitted(&picture, w, h)
}

/// The size with a longer side of `longer`.
fn scaled((w, h): (u32, u32), longer: u32) -> (u32, u32) {
    let scale = |v: u32| (u64::from(v) * u64::from(longer) / u64::from(w.max(h))).max(1) as u32;
    (scale(w), scale(h))
}

/// The picture in the size of a cell: whole-factor nearest when it grows, a proper filter when it shrinks.
pub(crate) fn fitted(picture: &RgbImage, w: u32, h: u32) -> RgbImage {
    let factor = w / picture.width();
    if (picture.width() * factor, picture.height() * factor) == (w, h) {
        enlarge(picture, factor)
    } else {
        imageops::resize(picture, w, h, FilterType::CatmullRom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(colour: [u8; 3], side: u32) -> RgbImage {
        RgbImage::from_pixel(side, side, Rgb(colour))
    }

    #[test]
    fn every_picture_is_shown_whole_and_in_order() {
        let colours: Vec<[u8; 3]> = (0..5).map(|i| [200, 10 + i * 40, 7]).collect();
        let pictures: Vec<_> = colours.iter().map(|&c| flat(c, 32)).collect();
        let grid = Grid::new(3)
            .row_labels(["one", "two"])
            .captions(["a", "b", "c", "d", "e"])
            .draw(&pictures)
            .unwrap();
        for &c in &colours {
            let spots: Vec<_> = grid
                .enumerate_pixels()
                .filter(|(_, _, p)| p.0 == c)
                .map(|(x, y, _)| (x, y))
                .collect();
            assert_eq!(spots.len(), 128 * 128, "32² is enlarged fourfold");
        }
        let first = |c| {
            grid.enumerate_pixels()
                .find(|(_, _, p)| p.0 == c)
                .map(|(x, y, _)| (x, y))
                .unwrap()
        };
        assert!(first(colours[1]).0 > first(colours[0]).0);
        assert_eq!(first(colours[3]).0, first(colours[0]).0);
        assert!(first(colours[3]).1 > first(colours[0]).1);
    }

    #[test]
    fn text_never_touches_the_border() {
        let long = "An exceedingly long label that would never fit beside or above any picture of this size";
        let grid = Grid::new(2)
            .title(long)
            .column_labels([long, "β ± 2 → x"])
            .row_labels([long])
            .captions([long, "seed 7"])
            .draw(&[flat([250; 3], 64), flat([250; 3], 64)])
            .unwrap();
        let (w, h) = grid.dimensions();
        for (x, y, p) in grid.enumerate_pixels() {
            if x < 4 || y < 4 || x + 4 >= w || y + 4 >= h {
                assert_eq!(p.0, [255; 3], "at {x}, {y}");
            }
        }
    }

    #[test]
    fn a_grid_of_reduced_pictures_is_that_of_the_pictures() {
        let picture = |side| RgbImage::from_fn(side, side, |x, y| Rgb([x as u8, y as u8, 7]));
        for side in [40, 512, 1024] {
            let whole = Grid::new(1).draw(&[picture(side)]).unwrap();
            let kept = reduced(picture(side));
            assert!(kept.width() <= 512);
            assert!(Grid::new(1).draw(&[kept]).unwrap() == whole, "{side}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert!(Grid::new(2).draw(&[]).is_err());
        assert!(
            Grid::new(2)
                .draw(&[flat([0; 3], 8), flat([0; 3], 9)])
                .is_err()
        );
        let wide = RgbImage::new(2000, 1000);
        let grid = Grid::new(1).draw(&[wide]).unwrap();
        assert!(grid.width() < 600 && grid.height() < 350);
        let many = vec![RgbImage::new(2, 1); 9000];
        let grid = Grid::new(1).sizes(256, 512);
        assert!(matches!(grid.draw(&many), Err(Error::Shape { .. })));
        // Known before there is a picture.
        assert!(grid.check(9000, (2, 1)).is_err() && grid.check(90, (2, 1)).is_ok());
        assert!(Grid::new(5).sizes(1, 1).draw(&[flat([0; 3], 1)]).is_ok());
    }
}

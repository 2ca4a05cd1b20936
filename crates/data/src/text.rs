//! Text in pictures, with a font that is part of the program.
//!
//! DejaVu Sans, regular and bold, cut down to Latin-1, Greek, arrows and the mathematical signs that labels use
//! (`assets/LICENSE-DejaVu.txt`). Sizes are in pixels from the top of the ascenders to the bottom of the descenders.

use ab_glyph::{Font as _, FontRef, Glyph, PxScale, ScaleFont as _, point};
use image::{Rgb, RgbImage};

/// The regular face's file.
pub const REGULAR: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");
/// The bold face's file.
pub const BOLD: &[u8] = include_bytes!("../assets/DejaVuSans-Bold-subset.ttf");

/// A face of the embedded font at a size.
#[derive(Debug, Clone)]
pub struct Font {
    face: FontRef<'static>,
    size: f32,
}

impl Font {
    /// The regular face; `size` in pixels per line without leading.
    #[must_use]
    pub fn regular(size: f32) -> Self {
        Self::new(REGULAR, size)
    }

    /// The bold face.
    #[must_use]
    pub fn bold(size: f32) -> Self {
        Self::new(BOLD, size)
    }

    fn new(bytes: &'static [u8], size: f32) -> Self {
        let face = FontRef::try_from_slice(bytes).expect("the embedded font is checked by a test");
        Self {
            face,
            size: size.max(1.0),
        }
    }

    /// The height of a line, in whole pixels.
    #[must_use]
    pub fn line_height(&self) -> u32 {
        (self.size * 1.2).ceil() as u32
    }

    /// The width of a line of text, in whole pixels.
    #[must_use]
    pub fn width(&self, text: &str) -> u32 {
        self.layout(text).1.ceil() as u32
    }

    /// The text, cut short with an ellipsis when it is wider than `width` pixels.
    #[must_use]
    pub fn fit(&self, text: &str, width: u32) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let mut kept: Vec<char> = text.chars().collect();
        while kept.pop().is_some() {
            let short = format!("{}…", kept.iter().collect::<String>().trim_end());
            if self.width(&short) <= width {
                return short;
            }
        }
        String::new()
    }

    /// The text in at most `lines` lines no wider than `width` pixels, broken at spaces; the last is cut
    /// short when the text does not fit.
    #[must_use]
    pub fn wrap(&self, text: &str, width: u32, lines: usize) -> Vec<String> {
        let mut done: Vec<String> = Vec::new();
        let mut rest: &str = text.trim();
        while !rest.is_empty() && done.len() < lines {
            let mut end = rest.len();
            if done.len() + 1 < lines {
                while self.width(&rest[..end]) > width {
                    match rest[..end].trim_end().rfind(' ') {
                        Some(space) => end = space,
                        None => break,
                    }
                }
            }
            done.push(self.fit(rest[..end].trim_end(), width));
            rest = rest[end..].trim_start();
        }
        done
    }

    /// Draws a line with its top left corner at (`x`, `y`); what lies outside the picture is not drawn.
    pub fn draw(&self, picture: &mut RgbImage, x: i64, y: i64, colour: [u8; 3], text: &str) {
        let (glyphs, _) = self.layout(text);
        let (width, height) = picture.dimensions();
        for glyph in glyphs {
            let Some(outline) = self.face.outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            let (left, top) = (x + corner.x as i64, y + corner.y as i64);
            outline.draw(|gx, gy, coverage| {
                let (px, py) = (left + i64::from(gx), top + i64::from(gy));
                if px >= 0 && py >= 0 && px < i64::from(width) && py < i64::from(height) {
                    blend(
                        picture.get_pixel_mut(px as u32, py as u32),
                        colour,
                        coverage,
                    );
                }
            });
        }
    }

    /// Glyphs of a line whose top left corner is the origin, and its width.
    fn layout(&self, text: &str) -> (Vec<Glyph>, f32) {
        let scaled = self.face.as_scaled(PxScale::from(self.size));
        // Whole-pixel baselines keep horizontal strokes sharp.
        let baseline = scaled.ascent().round();
        let mut glyphs = Vec::new();
        let mut x = 0.0;
        let mut last = None;
        for c in text.chars() {
            let id = scaled.glyph_id(c);
            if let Some(last) = last {
                x += scaled.kern(last, id);
            }
            glyphs.push(id.with_scale_and_position(PxScale::from(self.size), point(x, baseline)));
            x += scaled.h_advance(id);
            last = Some(id);
        }
        (glyphs, x)
    }
}

/// Lays a colour over a pixel with the given coverage.
fn blend(pixel: &mut Rgb<u8>, colour: [u8; 3], coverage: f32) {
    let a = coverage.clamp(0.0, 1.0);
    for (p, c) in pixel.0.iter_mut().zip(colour) {
        *p = (f32::from(*p) * (1.0 - a) + f32::from(c) * a).round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faces_hold_the_signs_that_labels_use() {
        for bytes in [REGULAR, BOLD] {
            let face = FontRef::try_from_slice(bytes).unwrap();
            for c in "AZaz09 éüß αβψσΣ × ± − ≥ ≤ … → ← ↑ ↓ · ² ° “” – — ≈ ∞ ‖".chars()
            {
                assert_ne!(face.glyph_id(c).0, 0, "{c} is missing");
            }
        }
    }

    #[test]
    fn long_text_is_cut_and_wrapped_within_the_width() {
        let font = Font::regular(14.0);
        let text = "a rather long label that cannot fit";
        let cut = font.fit(text, 80);
        assert!(cut.ends_with('…') && font.width(&cut) <= 80, "{cut}");
        let lines = font.wrap(text, 90, 3);
        assert!(
            lines.len() <= 3 && lines.iter().all(|l| font.width(l) <= 90),
            "{lines:?}"
        );
        assert_eq!(lines.join(" ").split_whitespace().next(), Some("a"));
        assert_eq!(font.wrap("short", 90, 3), ["short"]);
        assert!(font.wrap("", 90, 3).is_empty());
        // A single word that is too wide is cut, not dropped.
        assert!(font.wrap("Donaudampfschifffahrtsgesellschaft", 60, 2)[0].ends_with('…'));
        assert_eq!(font.fit("x", 0), "");
    }

    #[test]
    fn drawing_stays_inside_the_line_box() {
        let font = Font::bold(20.0);
        let text = "Ägypt";
        let (w, h) = (font.width(text) + 4, font.line_height() + 4);
        let mut picture = RgbImage::from_pixel(w, h, Rgb([255; 3]));
        font.draw(&mut picture, 2, 2, [0; 3], text);
        let border = |x: u32, y: u32| x == 0 || y == 0 || x == w - 1 || y == h - 1;
        assert!(
            picture
                .enumerate_pixels()
                .all(|(x, y, p)| !border(x, y) || p.0 == [255; 3])
        );
        assert!(picture.pixels().any(|p| p.0 == [0; 3]));
        // Outside the picture there is nothing to draw on, and no panic.
        font.draw(&mut picture, -50, 1_000_000, [0; 3], text);
    }
}

//! The square around a face that the pictures of FFHQ show, and what is cut out along it.
//!
//! With the eyes' middle `e`, the vector from eye to eye `a`, that from `e` to the mouth's middle `b`, and `⊥(x, y) = (−y, x)`: the
//! right half axis `h` points as `a − ⊥b` does and is `max(2‖a‖, 1.8‖b‖)` long, the lower one is `⊥h`, and the
//! centre is `e + b/10`. A turned head tilts `a` or `b`, never both alike, so that the square stays upright with it.
//!
//! Where the square leaves the picture, that is mirrored, and fades towards the border into a blurred copy and then into
//! its median colour.
//!
//! Source: T. Karras, S. Laine, T. Aila, A Style-Based Generator Architecture for Generative Adversarial Networks (2019),
//! appendix; factors, fading and the order of resizing as FFHQ was made.

use domex_data::pil_resize::{Filter, resize};
use image::imageops::{crop_imm, fast_blur};
use image::{Rgb, RgbImage};

use crate::{Error, Face, Result};

/// What of the square's side lies around it in the piece of the picture that is worked on.
const BORDER: f64 = 0.1;

/// How wide the fading is at least, as a share of the square's side.
const FADE: f64 = 0.3;

/// Standard deviation of the blur, as a share of the square's side.
const BLUR: f64 = 0.02;

/// What is seen where a square leaves its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// The picture's mirror image, fading.
    Mirrored,
    /// Black: for masks, in which nothing is known there.
    Black,
}

/// An oriented square, in pixels of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Square {
    /// Its centre.
    pub centre: [f64; 2],
    /// From the centre to the middle of the right edge.
    pub half: [f64; 2],
}

impl Square {
    /// Around a face.
    ///
    /// # Errors
    ///
    /// [`Error::Landmarks`] where all points coincide, or some are not finite.
    pub fn around(face: &Face) -> Result<Self> {
        let [left_eye, right_eye, _, left_mouth, right_mouth] = face.landmarks;
        let middle = |a: [f64; 2], b: [f64; 2]| [0, 1].map(|i| f64::midpoint(a[i], b[i]));
        let eyes = middle(left_eye, right_eye);
        let mouth = middle(left_mouth, right_mouth);
        let across = [0, 1].map(|i| right_eye[i] - left_eye[i]);
        let down = [0, 1].map(|i| mouth[i] - eyes[i]);
        let direction = [across[0] + down[1], across[1] - down[0]];
        let length = |v: [f64; 2]| v[0].hypot(v[1]);
        let half = (2.0 * length(across)).max(1.8 * length(down)) / length(direction);
        let square = Self {
            centre: [0, 1].map(|i| eyes[i] + 0.1 * down[i]),
            half: direction.map(|v| v * half),
        };
        match square
            .centre
            .iter()
            .chain(&square.half)
            .all(|v| v.is_finite())
        {
            true => Ok(square),
            false => Err(Error::Landmarks {
                landmarks: face.landmarks.to_vec(),
            }),
        }
    }

    /// Pixels on a side.
    #[must_use]
    pub fn side(&self) -> f64 {
        2.0 * self.half[0].hypot(self.half[1])
    }

    /// How far its corners lie from the centre at most, along an axis.
    fn reach(&self) -> f64 {
        self.half[0].abs() + self.half[1].abs()
    }

    /// How many pixels it leaves a picture of this size by: left, top, right, bottom.
    fn overhang(&self, [width, height]: [f64; 2]) -> [f64; 4] {
        let ([x, y], reach) = (self.centre, self.reach());
        [reach - x, reach - y, x + reach - width, y + reach - height]
    }

    /// Whether a part of it, beyond the width of an interpolation, lies outside of the picture.
    #[must_use]
    pub fn leaves(&self, picture: &RgbImage) -> bool {
        let size = [picture.width(), picture.height()].map(f64::from);
        self.overhang(size).iter().any(|&pixels| pixels > 1.0)
    }

    /// What it shows, with `side` pixels on a side.
    ///
    /// # Errors
    ///
    /// A square that lies outside of the picture; an empty picture; no pixels, or more than fit in memory.
    pub fn cut(&self, picture: &RgbImage, side: u32, outside: Outside) -> Result<RgbImage> {
        let (piece, square) = self.piece(picture, side)?;
        let step = square.side() / f64::from(side.max(1));
        let samples = side.saturating_mul((step.ceil() as u32).max(1));
        let canvas = Canvas::new(&piece, &square, outside);
        let sampled = canvas.sample(&square, samples);
        Ok(resize(&sampled, side, side, Filter::Lanczos)?)
    }

    /// The part of the picture that the square and its border see, and the square in it; both smaller by a whole factor
    /// where the square has many more pixels than are wanted, so that no sampling skips any.
    fn piece(&self, picture: &RgbImage, side: u32) -> Result<(RgbImage, Self)> {
        let reach = self.reach() + BORDER.max(FADE) * self.side();
        let limits = [picture.width(), picture.height()];
        let range = |axis: usize| {
            let limit = f64::from(limits[axis]);
            let start = (self.centre[axis] - reach).floor().clamp(0.0, limit);
            let end = (self.centre[axis] + reach).ceil().clamp(start, limit);
            (start as u32, (end - start) as u32)
        };
        let ((left, width), (top, height)) = (range(0), range(1));
        let piece = crop_imm(picture, left, top, width, height).to_image();
        let shrink = (self.side() / f64::from(side.max(1)) / 2.0)
            .floor()
            .max(1.0);
        let smaller = |pixels: u32| ((f64::from(pixels) / shrink).round() as u32).max(1);
        let small = resize(&piece, smaller(width), smaller(height), Filter::Lanczos)?;
        let scale = f64::from(small.width()) / f64::from(width);
        let scale = [scale, f64::from(small.height()) / f64::from(height)];
        let start = [left, top].map(f64::from);
        let square = Self {
            centre: [0, 1].map(|i| (self.centre[i] - start[i]) * scale[i]),
            half: [0, 1].map(|i| self.half[i] * scale[i]),
        };
        Ok((small, square))
    }
}

/// What lies under a square, whether the picture reaches so far or not.
struct Canvas {
    pixels: RgbImage,
    /// Where its first pixel lies in the picture.
    origin: [f64; 2],
}

impl Canvas {
    fn new(picture: &RgbImage, square: &Square, outside: Outside) -> Self {
        let reach = square.reach() + BORDER * square.side() + 2.0;
        let origin = square.centre.map(|c| (c - reach).floor());
        let pixels = (2.0 * reach).ceil() as u32 + 1;
        let (start, size) = (
            origin.map(|o| o as i64),
            [picture.width(), picture.height()],
        );
        let canvas = RgbImage::from_fn(pixels, pixels, |x, y| {
            let at = [start[0] + i64::from(x), start[1] + i64::from(y)];
            let inside = [0, 1].map(|i| mirrored(at[i], size[i]));
            match outside {
                Outside::Black if at != inside.map(i64::from) => Rgb([0; 3]),
                _ => *picture.get_pixel(inside[0], inside[1]),
            }
        });
        let mut canvas = Self {
            pixels: canvas,
            origin,
        };
        if outside == Outside::Mirrored && square.leaves(picture) {
            canvas.fade(square, size.map(f64::from));
        }
        canvas
    }

    /// Blurs the canvas towards the borders that the picture, of this size, does not reach.
    fn fade(&mut self, square: &Square, size: [f64; 2]) {
        let side = square.side();
        let width = square.overhang(size);
        let width = width.map(|pixels| (pixels + BORDER * side).max(FADE * side));
        let blurred = fast_blur(&self.pixels, (BLUR * side).max(0.1) as f32);
        let median = median(&self.pixels);
        for (x, y, pixel) in self.pixels.enumerate_pixels_mut() {
            let at = [
                f64::from(x) + self.origin[0] + 0.5,
                f64::from(y) + self.origin[1] + 0.5,
            ];
            // How far beyond each border, 1 where the fading ends; negative inside.
            let beyond = [-at[0], -at[1], at[0] - size[0], at[1] - size[1]];
            let beyond = beyond
                .iter()
                .zip(&width)
                .map(|(pixels, width)| pixels / width);
            let most = beyond.fold(f64::MIN, f64::max);
            let (blur, flat) = ((3.0 * most + 1.0).clamp(0.0, 1.0), most.clamp(0.0, 1.0));
            if blur == 0.0 {
                continue;
            }
            let soft = blurred.get_pixel(x, y).0;
            for channel in 0..3 {
                let mix = |a: f64, b: u8, share: f64| a + (f64::from(b) - a) * share;
                let value = mix(f64::from(pixel.0[channel]), soft[channel], blur);
                pixel.0[channel] = mix(value, median[channel], flat).round() as u8;
            }
        }
    }

    /// `samples` points on a side of the square, each between the four pixels around it.
    fn sample(&self, square: &Square, samples: u32) -> RgbImage {
        let ([cx, cy], [hx, hy]) = (square.centre, square.half);
        // From −1 to 1 over the square.
        let across = |i: u32| (2.0 * f64::from(i) + 1.0) / f64::from(samples) - 1.0;
        RgbImage::from_fn(samples, samples, |i, j| {
            let (u, v) = (across(i), across(j));
            let x = cx + u * hx - v * hy - self.origin[0] - 0.5;
            let y = cy + u * hy + v * hx - self.origin[1] - 0.5;
            self.between(x, y)
        })
    }

    fn between(&self, x: f64, y: f64) -> Rgb<u8> {
        let ((left, dx), (top, dy)) = ((x.floor(), x - x.floor()), (y.floor(), y - y.floor()));
        // Within the canvas but for roundings.
        let last = f64::from(self.pixels.width() - 1);
        let pixel = |x: f64, y: f64| {
            let (x, y) = (x.clamp(0.0, last), y.clamp(0.0, last));
            self.pixels.get_pixel(x as u32, y as u32).0.map(f64::from)
        };
        let (a, b) = (pixel(left, top), pixel(left + 1.0, top));
        let (c, d) = (pixel(left, top + 1.0), pixel(left + 1.0, top + 1.0));
        Rgb([0, 1, 2].map(|i| {
            let upper = a[i] + (b[i] - a[i]) * dx;
            let lower = c[i] + (d[i] - c[i]) * dx;
            (upper + (lower - upper) * dy).round() as u8
        }))
    }
}

/// The index inside `0..size` that an index outside mirrors; the border itself is not repeated.
fn mirrored(index: i64, size: u32) -> u32 {
    let last = i64::from(size) - 1;
    if last <= 0 {
        return 0;
    }
    let index = index.rem_euclid(2 * last);
    index.min(2 * last - index) as u32
}

/// The median of each channel.
fn median(picture: &RgbImage) -> [u8; 3] {
    let half = u64::from(picture.width()) * u64::from(picture.height()) / 2;
    [0, 1, 2].map(|channel| {
        let mut counts = [0u64; 256];
        for pixel in picture.pixels() {
            counts[usize::from(pixel.0[channel])] += 1;
        }
        let mut sum = 0;
        let reached = counts.iter().position(|count| {
            sum += count;
            sum > half
        });
        reached.unwrap_or(0) as u8
    })
}

#[cfg(test)]
mod tests;

//! Random changes to a picture that leave what it shows: what a classifier is to look past.
//!
//! In this order, each with its own strength drawn for the picture: a zoom and a shift (bilinear, the
//! border repeated), a Gaussian blur, gain and offset of the colours and a mix with grey, Gaussian
//! noise. Values stay in `[-1, 1]`.

use domex_random::Stream;
use image::RgbImage;
use serde::{Deserialize, Serialize};

/// The strongest changes; 0 leaves one out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Shift, as a share of the side.
    pub shift: f32,
    /// Zoom, as a share: 0.1 is from 0.9 to 1.1.
    pub zoom: f32,
    /// Gain and offset of each colour, and how much of the colour may turn grey.
    pub colour: f32,
    /// Standard deviation of the blur, in pixels; half of the pictures get one.
    pub blur: f32,
    /// Standard deviation of the noise; half of the pictures get it.
    pub noise: f32,
}

impl Jitter {
    /// Nothing is changed.
    pub const NONE: Self = Self {
        shift: 0.0,
        zoom: 0.0,
        colour: 0.0,
        blur: 0.0,
        noise: 0.0,
    };

    /// What the judge of generated pictures is to look past.
    pub const MILD: Self = Self {
        shift: 0.05,
        zoom: 0.06,
        colour: 0.06,
        blur: 1.0,
        noise: 0.1,
    };

    /// What a network whose gradient is to shape pictures is to look past.
    pub const STRONG: Self = Self {
        shift: 0.12,
        zoom: 0.15,
        colour: 0.12,
        blur: 1.5,
        noise: 0.15,
    };

    /// A picture as values `[3, h, w]` in `[-1, 1]`, changed.
    pub fn apply(&self, picture: &RgbImage, stream: &mut Stream) -> Vec<f32> {
        let (w, h) = (picture.width() as usize, picture.height() as usize);
        self.of_planes(planes(picture), w, h, stream)
    }

    /// The same of values `[3, h, w]`.
    pub fn of_planes(
        &self,
        mut planes: Vec<f32>,
        w: usize,
        h: usize,
        stream: &mut Stream,
    ) -> Vec<f32> {
        let mut signed = |strength: f32| strength * (2.0 * stream.uniform_f32() - 1.0);
        // Every number is drawn whether it is used or not: a setting changes no other draw.
        let zoom = 1.0 + signed(self.zoom);
        let shift = [signed(self.shift) * w as f32, signed(self.shift) * h as f32];
        let colours: [[f32; 2]; 3] =
            std::array::from_fn(|_| [1.0 + signed(self.colour), signed(self.colour)]);
        let grey = signed(self.colour).max(0.0);
        let blur = (signed(self.blur)).max(0.0);
        let noise = (signed(self.noise)).max(0.0);
        if self.shift > 0.0 || self.zoom > 0.0 {
            planes = moved(&planes, w, h, zoom, shift);
        }
        if blur > 0.2 {
            blurred(&mut planes, w, h, blur);
        }
        if self.colour > 0.0 {
            coloured(&mut planes, w * h, &colours, grey);
        }
        if noise > 0.0 {
            planes
                .iter_mut()
                .for_each(|value| *value += noise * stream.normal_f32());
        }
        planes
            .iter_mut()
            .for_each(|value| *value = value.clamp(-1.0, 1.0));
        planes
    }
}

/// Values `[3, h, w]` in `[-1, 1]`.
pub fn planes(picture: &RgbImage) -> Vec<f32> {
    let pixels = (picture.width() * picture.height()) as usize;
    let mut planes = vec![0f32; 3 * pixels];
    for (at, pixel) in picture.as_raw().chunks_exact(3).enumerate() {
        for (channel, &byte) in pixel.iter().enumerate() {
            planes[channel * pixels + at] = domex_data::picture::from_byte(byte);
        }
    }
    planes
}

/// Each pixel from where zoom and shift about the centre bring it from.
fn moved(planes: &[f32], w: usize, h: usize, zoom: f32, shift: [f32; 2]) -> Vec<f32> {
    let source = |at: usize, len: usize, shift: f32| {
        let centre = (len as f32 - 1.0) / 2.0;
        let x = ((at as f32 - centre) / zoom + centre + shift).clamp(0.0, len as f32 - 1.0);
        let low = (x.floor() as usize).min(len - 1);
        (low, (low + 1).min(len - 1), x - low as f32)
    };
    let columns: Vec<_> = (0..w).map(|x| source(x, w, shift[0])).collect();
    let mut out = Vec::with_capacity(planes.len());
    for plane in planes.chunks_exact(w * h) {
        for y in 0..h {
            let (top, bottom, v) = source(y, h, shift[1]);
            let (top, bottom) = (&plane[top * w..][..w], &plane[bottom * w..][..w]);
            out.extend(columns.iter().map(|&(left, right, u)| {
                let a = top[left] + u * (top[right] - top[left]);
                let b = bottom[left] + u * (bottom[right] - bottom[left]);
                a + v * (b - a)
            }));
        }
    }
    out
}

/// A Gaussian blur of both axes; beyond the border the last pixel is repeated.
pub fn blurred(planes: &mut [f32], w: usize, h: usize, sigma: f32) {
    let radius = (2.5 * sigma).ceil().max(1.0) as isize;
    let mut taps: Vec<f32> = (-radius..=radius)
        .map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp())
        .collect();
    let sum: f32 = taps.iter().sum();
    taps.iter_mut().for_each(|tap| *tap /= sum);
    let mut line = Vec::new();
    let mut along = |plane: &mut [f32], start: usize, step: usize, len: usize| {
        line.clear();
        line.extend((0..len).map(|i| plane[start + i * step]));
        for i in 0..len {
            let at =
                |k: usize| (i as isize + k as isize - radius).clamp(0, len as isize - 1) as usize;
            plane[start + i * step] = taps
                .iter()
                .enumerate()
                .map(|(k, tap)| tap * line[at(k)])
                .sum();
        }
    };
    for plane in planes.chunks_exact_mut(w * h) {
        (0..h).for_each(|y| along(plane, y * w, 1, w));
        (0..w).for_each(|x| along(plane, x, w, h));
    }
}

fn coloured(planes: &mut [f32], pixels: usize, colours: &[[f32; 2]; 3], grey: f32) {
    for at in 0..pixels {
        let mean = (planes[at] + planes[pixels + at] + planes[2 * pixels + at]) / 3.0;
        for (channel, [gain, offset]) in colours.iter().enumerate() {
            let value = &mut planes[channel * pixels + at];
            *value = (*value + grey * (mean - *value)) * gain + offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use domex_random::Streams;
    use image::Rgb;

    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 16) as u8, (y * 16) as u8, 128]))
    }

    #[test]
    fn nothing_is_nothing() {
        let mut stream = Streams::new(1).stream("jitter");
        assert_eq!(
            Jitter::NONE.apply(&picture(), &mut stream),
            planes(&picture())
        );
    }

    #[test]
    fn changes_are_bounded_and_repeat() {
        let streams = Streams::new(1);
        let mut first = streams.stream("jitter");
        let mut second = first.clone();
        let plain = planes(&picture());
        for _ in 0..20 {
            let a = Jitter::STRONG.apply(&picture(), &mut first);
            assert_eq!(a, Jitter::STRONG.apply(&picture(), &mut second));
            assert_ne!(a, plain);
            let apart: f32 = a
                .iter()
                .zip(&plain)
                .map(|(a, b)| (a - b).abs())
                .sum::<f32>()
                / a.len() as f32;
            assert!(apart < 0.5, "{apart}");
            assert!(a.iter().all(|value| (-1.0..=1.0).contains(value)));
        }
    }

    #[test]
    fn a_blur_keeps_the_mean_of_a_flat_picture() {
        let mut flat = vec![0.25; 3 * 64];
        blurred(&mut flat, 8, 8, 1.3);
        assert!(flat.iter().all(|value| (value - 0.25).abs() < 1e-6));
    }
}

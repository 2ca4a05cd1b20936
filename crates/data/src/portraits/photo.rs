//! A photograph: coloured light, a lens, a sensor.

use image::{Rgb as Pixel, RgbImage};

use super::colour::Rgb;
use super::noise::normal;
use super::raster::Canvas;
use super::scene::Scene;

/// A photograph has no outlines.
pub(crate) const PEN: f32 = 0.0;

/// Deviation of the sensor's noise at middle grey.
const GRAIN: f32 = 0.010;

pub(crate) fn develop(scene: &Scene, canvas: &Canvas, seed: u32) -> RgbImage {
    let warmth = scene.factors.warmth;
    let lamp = [
        1.0 + 0.10 * warmth,
        1.0 + 0.01 * warmth,
        1.0 - 0.13 * warmth,
    ];
    let size = canvas.size as f32;
    picture(canvas.size, |i, j| {
        let k = j * canvas.size + i;
        let (x, y) = ((i as f32 + 0.5) / size - 0.5, (j as f32 + 0.5) / size - 0.5);
        // A lens gives less light to the corners.
        let vignette = 1.0 - 0.35 * (x * x + y * y);
        let lit = canvas.lit(k);
        let mut colour = [0.0; 3];
        for c in 0..3 {
            let value = shoulder(lit[c] * lamp[c] * vignette);
            let grain = GRAIN * normal(3 * i as i32 + c as i32, j as i32, seed ^ 0x9ea1);
            colour[c] = value + grain * (0.6 + 0.8 * value);
        }
        colour
    })
}

/// Film's answer to much light: straight below 0.8, then ever flatter towards 1.
fn shoulder(x: f32) -> f32 {
    const KNEE: f32 = 0.8;
    if x < KNEE {
        x
    } else {
        1.0 - (1.0 - KNEE) * (-(x - KNEE) / (1.0 - KNEE)).exp()
    }
}

/// A picture from a function of column and row.
pub(crate) fn picture(size: usize, mut colour: impl FnMut(usize, usize) -> Rgb) -> RgbImage {
    let side = size as u32;
    RgbImage::from_fn(side, side, |i, j| {
        let byte = |x: f32| (x * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
        let [r, g, b] = colour(i as usize, j as usize);
        Pixel([byte(r), byte(g), byte(b)])
    })
}

//! Comic, embroidery, thermal camera and old photograph.

use image::RgbImage;

use super::surface::{Surface, blur, saturate};
use crate::portraits::colour::{hsv, luma, mix, ramp, rgb, times};
use crate::portraits::layer::Part;
use crate::portraits::noise::{normal, smooth, smoothstep, uniform};
use crate::portraits::photo::picture;
use crate::portraits::scene::Scene;

/// Flat colours in three steps of light, black outlines, dots in the shadows and behind.
pub(super) fn comic(s: &Surface<'_>, scene: &Scene) -> RgbImage {
    let pixel = 1.0 / s.size() as f32;
    // Dots of a printing screen, turned by 45 degrees.
    let dots = |x: f32, y: f32, per: f32, r: f32| {
        let (a, b) = ((x + y) * per, (x - y) * per);
        let d = ((a - a.round()).powi(2) + (b - b.round()).powi(2)).sqrt();
        smoothstep(r + pixel * per, r - pixel * per, d)
    };
    let behind = hsv(scene.factors.background_hue, 0.55, 0.98);
    picture(s.size(), |i, j| {
        let (k, (x, y)) = (j * s.size() + i, s.place(i, j));
        let flat = if s.canvas.part[k] == Part::Background {
            mix(behind, [1.0; 3], 0.65 * dots(x, y, 11.0, 0.3))
        } else {
            let bright = saturate(s.canvas.albedo[k], 1.7);
            let bright = bright.map(|c| ((c * 5.0).round() / 5.0 * 1.08).min(1.0));
            let light = s.canvas.light[k];
            let shade = if light > 0.72 {
                1.0
            } else if light > 0.5 {
                1.0 - 0.42 * dots(x, y, 15.0, 0.36)
            } else {
                0.55
            };
            times(bright, shade)
        };
        mix(
            flat,
            [0.02, 0.02, 0.04],
            smoothstep(0.2, 0.55, s.canvas.line[k]),
        )
    })
}

/// Short coloured stitches, in another direction for each part, on linen.
pub(super) fn embroidery(s: &Surface<'_>) -> RgbImage {
    let seed = s.seed;
    picture(s.size(), |i, j| {
        let (k, (x, y)) = (j * s.size() + i, s.place(i, j));
        let part = s.canvas.part[k];
        if part == Part::Background && s.canvas.line[k] < 0.5 {
            // Linen: over and under.
            let (a, b) = (x * 30.0, y * 30.0);
            let over = (a.floor() as i32 + b.floor() as i32).rem_euclid(2) == 0;
            let thread = if over { a.fract() } else { b.fract() };
            let weave = 0.80 + 0.20 * (1.0 - (2.0 * thread - 1.0).powi(2));
            let cloth = mix(rgb(0xe4dac2), s.canvas.albedo[k], 0.22);
            return times(
                cloth,
                weave * (0.96 + 0.05 * smooth(9.0 * x, 9.0 * y, seed)),
            );
        }
        let angle = match part {
            Part::Hair | Part::HairBack | Part::Beard => 1.35,
            Part::Body => 0.35,
            Part::Hat => 2.7,
            Part::Face | Part::Neck | Part::Ear | Part::Nose => -0.5,
            _ => 0.9,
        };
        let (sin, cos) = f32::sin_cos(angle);
        let (along, across) = (x * cos + y * sin, y * cos - x * sin);
        let row = (across * 26.0).floor();
        let stitch = (along * 8.0 + uniform(row as i32, 0, seed)).floor();
        let gloss = 1.0 - (2.0 * (across * 26.0).rem_euclid(1.0) - 1.0).powi(2);
        let end = ((along * 8.0 + uniform(row as i32, 0, seed)).rem_euclid(1.0) - 0.5).abs();
        let thread = uniform(stitch as i32, row as i32, seed ^ 3);
        let mut colour = saturate(mix(s.lit[k], s.canvas.albedo[k], 0.5), 1.5);
        colour = mix(colour, rgb(0x20141c), 0.75 * s.canvas.line[k]);
        let shade =
            (0.62 + 0.55 * gloss) * (0.86 + 0.24 * thread) * smoothstep(0.52, 0.40, end).max(0.6);
        times(colour, shade).map(|c| c.min(1.0))
    })
}

/// Warmth as a camera for heat shows it: skin hot, hair and cloth cooler, the wall cold.
pub(super) fn thermal(s: &Surface<'_>) -> RgbImage {
    let size = s.size();
    let warmth: Vec<f32> = (0..size * size)
        .map(|k| {
            let base = match s.canvas.part[k] {
                Part::Background => 0.08 + 0.10 * luma(s.canvas.albedo[k]),
                Part::Face | Part::Wrinkle | Part::Lid => 0.82,
                Part::Neck | Part::Ear => 0.86,
                Part::Nose => 0.70,
                Part::Mouth | Part::Sclera | Part::Iris => 0.92,
                Part::Hair | Part::HairBack => 0.40 + 0.14 * luma(s.canvas.albedo[k]),
                Part::Beard | Part::Brow => 0.55,
                Part::Body => 0.46,
                Part::Hat => 0.30,
                Part::Glasses => 0.22,
                Part::Extra => 0.15 + 0.5 * luma(s.canvas.albedo[k]),
            };
            base + 0.14 * (s.canvas.light[k] - 0.9)
        })
        .collect();
    let warmth = blur(&warmth, size, (size as f32 * 0.008).round() as usize);
    let stops = [
        rgb(0x05031c),
        rgb(0x2a0b6e),
        rgb(0x7a1188),
        rgb(0xd02a5a),
        rgb(0xf8742a),
        rgb(0xffc93a),
        rgb(0xfff7c8),
    ];
    picture(size, |i, j| {
        let noise = 0.012 * normal(i as i32, j as i32, s.seed ^ 61);
        ramp(&stops, warmth[j * size + i] + noise)
    })
}

/// Brown, faded, with dust, scratches and light corners.
pub(super) fn sepia(s: &Surface<'_>) -> RgbImage {
    let stops = [rgb(0x24150c), rgb(0x6b4526), rgb(0xb98f5e), rgb(0xf0dfb8)];
    let seed = s.seed;
    picture(s.size(), |i, j| {
        let (k, (x, y)) = (j * s.size() + i, s.place(i, j));
        let tone = 0.10 + 0.86 * luma(s.lit[k]).powf(0.9);
        let grain = 0.035 * normal(i as i32, j as i32, seed ^ 71);
        let r = ((x - 0.5).powi(2) + (y - 0.5).powi(2)).sqrt();
        // An oval print: the corners never saw light.
        let fade = smoothstep(0.48, 0.66, r + 0.01 * smooth(6.0 * x, 6.0 * y, seed));
        let stain = 0.05 * smooth(3.0 * x, 3.0 * y, seed ^ 2);
        let scratch = (0..2).any(|n| {
            let at = uniform(n, 7, seed) + 0.02 * smooth(0.0, 3.0 * y, seed ^ 13);
            (x - at).abs() < 0.004 && uniform(n, (y * 9.0) as i32, seed) < 0.6
        });
        let tone = tone + grain + stain + if scratch { 0.18 } else { 0.0 };
        mix(ramp(&stops, tone), rgb(0xf3e6c6), fade)
    })
}

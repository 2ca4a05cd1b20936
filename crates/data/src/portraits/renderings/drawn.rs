//! Drawings: pencil, ink, blueprint and neon tubes, made of outlines and tone.

use image::RgbImage;

use super::surface::{Surface, blur, saturate};
use crate::portraits::colour::{Rgb, luma, mix, rgb};
use crate::portraits::layer::Part;
use crate::portraits::noise::{smooth, smoothstep, uniform};
use crate::portraits::photo::picture;

/// Parallel strokes: how much ink lies at a place, for strokes `per` to a side along `angle`.
pub(super) fn hatch(x: f32, y: f32, per: f32, angle: f32, width: f32, seed: u32) -> f32 {
    let (sin, cos) = angle.sin_cos();
    let across = x * cos + y * sin + 0.012 * smooth(5.0 * x, 5.0 * y, seed);
    let wave = (across * per).rem_euclid(1.0);
    let d = (wave - 0.5).abs();
    smoothstep(0.5 * width + 0.12, 0.5 * width - 0.12, d)
}

/// Graphite on paper: outlines, and hatching that is denser where it is darker.
pub(super) fn sketch(s: &Surface<'_>) -> RgbImage {
    picture(s.size(), |i, j| {
        let (k, (x, y)) = (j * s.size() + i, s.place(i, j));
        let mut tone = luma(s.lit[k]);
        if s.canvas.part[k] == Part::Background {
            tone = 0.62 + 0.38 * tone;
        }
        let grain = 0.5 + 0.5 * uniform(i as i32, j as i32, s.seed ^ 0x11);
        let light = hatch(x, y, 17.0, 0.8, 0.5, s.seed) * smoothstep(0.72, 0.45, tone);
        let dark = hatch(x, y, 21.0, 2.3, 0.6, s.seed) * smoothstep(0.42, 0.18, tone);
        let rubbed = smoothstep(0.8, 0.1, tone) * 0.34;
        let graphite = (rubbed + 0.34 * light + 0.3 * dark) * (0.75 + 0.4 * grain);
        let line = s.canvas.line[k] * 0.82 * (0.7 + 0.3 * grain);
        let paper = 0.95 + 0.02 * smooth(40.0 * x, 40.0 * y, s.seed);
        let value = paper * (1.0 - graphite.max(line).min(0.9));
        [value, value * 0.995, value * 0.965]
    })
}

/// Black on white and nothing between: bold outlines, black hair, hatched shadows.
pub(super) fn ink(s: &Surface<'_>) -> RgbImage {
    picture(s.size(), |i, j| {
        let (k, (x, y)) = (j * s.size() + i, s.place(i, j));
        let part = s.canvas.part[k];
        let mut tone = luma(s.lit[k]);
        if part == Part::Background {
            tone = 1.0;
        }
        // Hair, cloth and dark glass may be black; skin is never more than hatched.
        let skin = matches!(
            part,
            Part::Face | Part::Neck | Part::Ear | Part::Nose | Part::Wrinkle | Part::Lid
        );
        if skin {
            tone = 0.36 + 0.64 * tone;
        }
        let mass = smoothstep(0.27, 0.2, tone);
        let strokes = hatch(x, y, 15.0, 0.55, 0.42, s.seed) * smoothstep(0.52, 0.42, tone);
        let black = mass
            .max(strokes)
            .max(smoothstep(0.25, 0.6, s.canvas.line[k]));
        let white: Rgb = [0.99, 0.985, 0.97];
        mix(white, [0.03, 0.03, 0.05], smoothstep(0.35, 0.65, black))
    })
}

/// White lines on blue paper with a grid.
pub(super) fn blueprint(s: &Surface<'_>) -> RgbImage {
    let pixel = 1.0 / s.size() as f32;
    picture(s.size(), |i, j| {
        let (k, (x, y)) = (j * s.size() + i, s.place(i, j));
        let stain = 0.05 * smooth(4.0 * x, 4.0 * y, s.seed);
        let mut colour = mix(rgb(0x173a8f), rgb(0x2a5cc0), 0.4 + stain * 4.0);
        let rule = |v: f32, per: f32| {
            let d = ((v * per).fract() - 0.5).abs() / per;
            smoothstep(1.2 * pixel, 0.4 * pixel, (d - 0.5 / per).abs())
        };
        let grid = rule(x, 8.0).max(rule(y, 8.0));
        colour = mix(colour, rgb(0x7fa6ee), 0.38 * grid);
        if s.canvas.part[k] != Part::Background {
            // A little of the tone, so that hair of another colour is another hatching.
            let dark = smoothstep(0.45, 0.15, luma(s.canvas.albedo[k]));
            let strokes = hatch(x, y, 16.0, 0.8, 0.3, s.seed);
            colour = mix(colour, rgb(0xbfd4ff), 0.10 + 0.35 * dark * strokes);
        }
        mix(colour, [0.95, 0.98, 1.0], 0.95 * s.canvas.line[k])
    })
}

/// Glowing tubes in the dark, coloured by what they outline.
pub(super) fn neon(s: &Surface<'_>) -> RgbImage {
    let size = s.size();
    let colour = |k: usize| match s.canvas.part[k] {
        Part::Hair | Part::HairBack | Part::Beard | Part::Brow => {
            saturate(mix(s.canvas.albedo[k], rgb(0xff2bd6), 0.75), 1.6)
        }
        Part::Body | Part::Hat => saturate(mix(s.canvas.albedo[k], rgb(0x35ff8a), 0.6), 1.6),
        Part::Glasses => rgb(0xffe14a),
        Part::Mouth => rgb(0xff4a5e),
        Part::Extra => rgb(0xffa03a),
        _ => rgb(0x36d6ff),
    };
    // Red, green and blue tubes spread on their own.
    let r = (size as f32 * 0.028).round().max(1.0) as usize;
    let glow = [0, 1, 2].map(|c| {
        let tubes: Vec<f32> = (0..size * size)
            .map(|k| s.canvas.line[k] * colour(k)[c])
            .collect();
        blur(&tubes, size, r)
    });
    picture(size, |i, j| {
        let k = j * size + i;
        let core = s.canvas.line[k];
        let tube = mix(colour(k), [1.0; 3], 0.45);
        let wall = [0.025, 0.02, 0.06];
        [0, 1, 2].map(|c| (wall[c] + 1.5 * glow[c][k]).min(0.85).max(core * tube[c]))
    })
}

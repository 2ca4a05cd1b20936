//! Paintings: watercolour and oil.

use image::RgbImage;

use super::surface::{Surface, saturate};
use crate::portraits::colour::{luma, mix, times};
use crate::portraits::noise::{rough, smooth, smoothstep, uniform};
use crate::portraits::photo::picture;

/// Pale washes that bleed over their borders, with darker rims, on paper that shows at the edges.
pub(super) fn watercolour(s: &Surface<'_>) -> RgbImage {
    let seed = s.seed;
    picture(s.size(), |i, j| {
        let (x, y) = s.place(i, j);
        // Water carries the colour a little aside.
        let (dx, dy) = (
            0.016 * smooth(9.0 * x, 9.0 * y, seed),
            0.016 * smooth(9.0 * x, 9.0 * y, seed ^ 77),
        );
        let (u, v) = (x + dx, y + dy);
        let wash = s.around(u, v, 0.02);
        let wide = s.around(u, v, 0.045);
        // Pigment gathers where a wash ends.
        let rim = (luma(wide) - luma(wash)).abs() * 1.6;
        let pooled = 0.10 * rough(6.0 * x, 6.0 * y, seed ^ 5);
        let colour = saturate(wash, 1.35).map(|c| 1.0 - (1.0 - c.powf(0.8)) * (0.70 + pooled));
        let colour = times(colour, 1.0 - rim.min(0.35));
        let grain = 0.025 * smooth(50.0 * x, 50.0 * y, seed ^ 9);
        // The painter stops before the paper does.
        let edge =
            (x.min(1.0 - x)).min(y.min(1.0 - y)) + 0.035 * smooth(7.0 * x, 7.0 * y, seed ^ 3);
        let paper = [0.985, 0.975, 0.95];
        mix(
            paper,
            colour.map(|c| (c + grain).clamp(0.0, 1.0)),
            smoothstep(0.035, 0.075, edge),
        )
    })
}

/// Thick strokes: cells along a turning direction, each of one colour with a lit ridge.
pub(super) fn oil(s: &Surface<'_>) -> RgbImage {
    let seed = s.seed;
    picture(s.size(), |i, j| {
        let (x, y) = s.place(i, j);
        let mut colour = [0.0; 3];
        let mut ridge = 0.0;
        // Two coats: broad strokes below, finer ones that cover most of them.
        for (coat, (long, wide)) in [(0.13_f32, 0.055_f32), (0.07, 0.028)]
            .into_iter()
            .enumerate()
        {
            let salt = seed ^ (coat as u32 * 0x9d);
            let turn = 2.2 * smooth(2.3 * x, 2.3 * y, salt);
            // Directions are kept to a few, so that a stroke is straight.
            let turn = (turn * 3.0).round() / 3.0 + 0.5;
            let (sin, cos) = turn.sin_cos();
            let (along, across) = ((x * cos + y * sin) / long, (y * cos - x * sin) / wide);
            let row = across.floor();
            let shift = uniform(row as i32, coat as i32, salt);
            let place = (along + shift).floor();
            let (a, b) = ((place + 0.5 - shift) * long, (row + 0.5) * wide);
            let centre = (a * cos - b * sin, a * sin + b * cos);
            // A stroke never reaches far over what it paints.
            let centre = (0.55 * x + 0.45 * centre.0, 0.55 * y + 0.45 * centre.1);
            let cell = uniform(place as i32, row as i32, salt ^ 21);
            if coat == 0 || cell < 0.8 {
                colour = times(s.at(centre.0, centre.1), 0.88 + 0.26 * cell);
                let f = across - row;
                let bristles = 0.10 * smooth(along * 2.0, across * 5.0, salt ^ 8);
                ridge = 0.17 * (0.5 - f) + bristles;
            }
        }
        saturate(colour, 1.5).map(|c| (c * 1.05 + ridge * (0.35 + c)).clamp(0.0, 1.0))
    })
}

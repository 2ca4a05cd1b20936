//! Techniques that have no name.

use image::RgbImage;

use super::drawn::hatch;
use super::surface::{Surface, nearest, saturate};
use crate::portraits::colour::{luma, mix, ramp};
use crate::portraits::layer::Part;
use crate::portraits::look::Technique;
use crate::portraits::noise::smoothstep;
use crate::portraits::photo::picture;

pub(super) fn render(technique: &Technique, s: &Surface<'_>) -> RgbImage {
    let [on_person, behind] = technique.cover;
    picture(s.size(), |i, j| {
        let (k, (x, y)) = (j * s.size() + i, s.place(i, j));
        let mut seen = k;
        if let Some((per, jitter)) = technique.cells {
            let (x, y) = nearest(x, y, per, jitter, s.seed).at;
            seen = s.pixel(x, y);
        }
        let mut colour = match technique.is_lit {
            true => s.lit[seen],
            false => s.canvas.albedo[seen],
        };
        let tone = luma(colour);
        if let Some(stops) = &technique.ramp {
            colour = ramp(stops, tone);
        }
        colour = saturate(colour, technique.saturation);
        if let Some(levels) = technique.levels {
            colour = colour.map(|x| (x * levels).round() / levels);
        }
        let cover = match s.canvas.part[seen] {
            Part::Background => behind,
            _ => on_person,
        };
        colour = mix(technique.paper, colour, cover);
        if let Some((ink, strength, _)) = technique.line {
            let strokes = technique.hatch.map_or(0.0, |(per, angle)| {
                hatch(x, y, per, angle, 0.5, s.seed) * smoothstep(0.6, 0.3, tone)
            });
            colour = mix(colour, ink, strength * s.canvas.line[k].max(0.7 * strokes));
        }
        colour
    })
}

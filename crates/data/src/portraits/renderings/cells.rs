//! Pictures put together from pieces: pixels, stones, triangles, glass.

use image::RgbImage;

use super::surface::{Surface, nearest, saturate};
use crate::portraits::colour::{Rgb, luma, mix, rgb, times};
use crate::portraits::noise::{smooth, smoothstep, uniform};
use crate::portraits::photo::picture;

/// Large pixels: 22 to a side.
const BLOCKS: usize = 22;

/// Few colours in large pixels, with dark outlines.
pub(super) fn pixel_art(s: &Surface<'_>) -> RgbImage {
    let size = s.size();
    let blocks = BLOCKS.min(size);
    let cut = |b: usize| b * size / blocks;
    let mut colours = Vec::with_capacity(blocks * blocks);
    for row in 0..blocks {
        for column in 0..blocks {
            let (mut sum, mut line, mut n) = ([0.0; 3], 0.0_f32, 0.0);
            for j in cut(row)..cut(row + 1) {
                for i in cut(column)..cut(column + 1) {
                    let k = j * size + i;
                    for c in 0..3 {
                        sum[c] += s.lit[k][c];
                    }
                    line += s.canvas.line[k];
                    n += 1.0;
                }
            }
            let mean = saturate(sum.map(|x| x / n), 1.45);
            let levels = mean.map(|x| ((x * 1.08 * 5.0).round() / 5.0).min(1.0));
            let outline = smoothstep(0.38, 0.5, line / n);
            colours.push(mix(levels, times(levels, 0.25), outline));
        }
    }
    picture(size, |i, j| {
        let block = |v: usize| ((v * blocks + blocks - 1) / size).min(blocks - 1);
        colours[block(j) * blocks + block(i)]
    })
}

/// Stones of one colour each in light mortar.
pub(super) fn mosaic(s: &Surface<'_>) -> RgbImage {
    let pixel = 1.0 / s.size() as f32;
    picture(s.size(), |i, j| {
        let (x, y) = s.place(i, j);
        let near = nearest(x, y, 16.0, 0.5, s.seed);
        let (a, b) = near.cell;
        let stone = s.around(near.at.0, near.at.1, 0.014);
        let shade = 0.86 + 0.3 * uniform(a, b, s.seed ^ 31);
        // The upper left edge of a stone catches light.
        let tilt = (near.at.0 - x) + (near.at.1 - y);
        let stone = saturate(times(stone, shade), 1.3).map(|c| (c + 1.6 * tilt).clamp(0.0, 1.0));
        let mortar = rgb(0xcfc8b8);
        mix(
            mortar,
            stone,
            smoothstep(0.0, 0.7 * pixel.max(0.006), near.border),
        )
    })
}

/// Triangles on a side, about.
const FACETS: usize = 14;

/// Flat triangles of a bent lattice.
pub(super) fn low_poly(s: &Surface<'_>) -> RgbImage {
    let corner = |a: i32, b: i32| {
        let bend = |k: u32| 0.62 * (uniform(a, b, s.seed ^ k) - 0.5);
        let per = FACETS as f32;
        ((a as f32 + bend(1)) / per, (b as f32 + bend(2)) / per)
    };
    let facet = |p: [(f32, f32); 3], key: (i32, i32), half: u32| {
        let (x, y) = (
            (p[0].0 + p[1].0 + p[2].0) / 3.0,
            (p[0].1 + p[1].1 + p[2].1) / 3.0,
        );
        let colour = mix(s.around(x, y, 0.018), s.at(x, y), 0.4);
        let shade = 0.82 + 0.36 * uniform(key.0, key.1, s.seed ^ (40 + half));
        saturate(times(colour, shade), 1.25)
    };
    picture(s.size(), |i, j| {
        let (x, y) = s.place(i, j);
        let (a0, b0) = (
            (x * FACETS as f32).floor() as i32,
            (y * FACETS as f32).floor() as i32,
        );
        for b in b0 - 1..=b0 + 1 {
            for a in a0 - 1..=a0 + 1 {
                let q = [
                    corner(a, b),
                    corner(a + 1, b),
                    corner(a + 1, b + 1),
                    corner(a, b + 1),
                ];
                for (half, t) in [[q[0], q[1], q[2]], [q[0], q[2], q[3]]]
                    .into_iter()
                    .enumerate()
                {
                    if holds(t, x, y) {
                        return facet(t, (a, b), half as u32);
                    }
                }
            }
        }
        s.at(x, y)
    })
}

fn holds(t: [(f32, f32); 3], x: f32, y: f32) -> bool {
    let side = |p: (f32, f32), q: (f32, f32)| (q.0 - p.0) * (y - p.1) - (q.1 - p.1) * (x - p.0);
    let d = [side(t[0], t[1]), side(t[1], t[2]), side(t[2], t[0])];
    d.iter().all(|&v| v >= 0.0) || d.iter().all(|&v| v <= 0.0)
}

/// Panes of bright glass between lines of lead.
pub(super) fn stained_glass(s: &Surface<'_>) -> RgbImage {
    let pixel = 1.0 / s.size() as f32;
    picture(s.size(), |i, j| {
        let (k, (x, y)) = (j * s.size() + i, s.place(i, j));
        let near = nearest(x, y, 7.0, 0.8, s.seed);
        let (a, b) = near.cell;
        let albedo: Rgb = mix(
            s.canvas.albedo[k],
            s.canvas.albedo[s.pixel(near.at.0, near.at.1)],
            0.25,
        );
        let pane = saturate(albedo, 2.0);
        // Glass is bright where the sun stands behind it.
        let sun = 1.12 - 0.5 * ((x - 0.5).powi(2) + (y - 0.45).powi(2));
        let flaw = 0.08 * smooth(16.0 * x, 16.0 * y, s.seed ^ 4);
        let shade = sun * (0.80 + 0.42 * uniform(a, b, s.seed ^ 51)) + flaw;
        let pane = pane.map(|c| (c * shade + 0.07).min(1.0));
        let lead = smoothstep(0.003 + 0.9 * pixel, 0.003, near.border).max(smoothstep(
            0.35,
            0.7,
            s.canvas.line[k],
        ));
        let dim = if luma(pane) > 0.0 { pane } else { [0.1; 3] };
        mix(dim, rgb(0x0c0b10), lead)
    })
}

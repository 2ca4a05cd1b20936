//! What several techniques need: the lit colours, averages, blurred fields, and cells.

use crate::portraits::colour::{Rgb, luma, mix};
use crate::portraits::noise::uniform;
use crate::portraits::raster::Canvas;

/// The lit colours of a picture, clamped to `[0, 1]`.
pub(super) struct Surface<'a> {
    pub(super) canvas: &'a Canvas,
    pub(super) lit: Vec<Rgb>,
    pub(super) seed: u32,
}

impl<'a> Surface<'a> {
    pub(super) fn new(canvas: &'a Canvas, seed: u32) -> Self {
        let lit = (0..canvas.albedo.len())
            .map(|k| canvas.lit(k).map(|x| x.clamp(0.0, 1.0)))
            .collect();
        Self { canvas, lit, seed }
    }

    /// Pixels on a side.
    pub(super) fn size(&self) -> usize {
        self.canvas.size
    }

    /// The pixel at a place of the unit square; outside, the nearest.
    pub(super) fn pixel(&self, x: f32, y: f32) -> usize {
        let last = (self.size() - 1) as f32;
        let at = |v: f32| (v * self.size() as f32).clamp(0.0, last) as usize;
        at(y) * self.size() + at(x)
    }

    /// Lit colour at a place.
    pub(super) fn at(&self, x: f32, y: f32) -> Rgb {
        self.lit[self.pixel(x, y)]
    }

    /// Mean lit colour of a square of half-width `r` around a place, by nine looks.
    pub(super) fn around(&self, x: f32, y: f32, r: f32) -> Rgb {
        let mut sum = [0.0; 3];
        for dy in [-r, 0.0, r] {
            for dx in [-r, 0.0, r] {
                let c = self.at(x + dx, y + dy);
                for k in 0..3 {
                    sum[k] += c[k] / 9.0;
                }
            }
        }
        sum
    }

    /// The middle of a pixel in the unit square.
    pub(super) fn place(&self, i: usize, j: usize) -> (f32, f32) {
        let size = self.size() as f32;
        ((i as f32 + 0.5) / size, (j as f32 + 0.5) / size)
    }
}

/// Away from grey (above 1) or towards it.
pub(super) fn saturate(c: Rgb, by: f32) -> Rgb {
    let grey = luma(c);
    mix([grey; 3], c, by).map(|x| x.clamp(0.0, 1.0))
}

/// A square field blurred by two running means over `2 r + 1` pixels in each direction.
pub(super) fn blur(field: &[f32], size: usize, r: usize) -> Vec<f32> {
    let mut field = field.to_vec();
    for _ in 0..2 {
        field = rows(&transposed(&rows(&field, size, r), size), size, r);
        field = transposed(&field, size);
    }
    field
}

fn rows(field: &[f32], size: usize, r: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(field.len());
    for row in field.chunks(size) {
        let get = |i: isize| row[i.clamp(0, size as isize - 1) as usize];
        let r = r as isize;
        let mut sum: f32 = (-r..=r).map(get).sum();
        for i in 0..size as isize {
            out.push(sum / (2 * r + 1) as f32);
            sum += get(i + r + 1) - get(i - r);
        }
    }
    out
}

fn transposed(field: &[f32], size: usize) -> Vec<f32> {
    (0..field.len())
        .map(|k| field[(k % size) * size + k / size])
        .collect()
}

/// The two nearest of points that are scattered one to a cell of a grid of `per` cells a side.
pub(super) struct Nearest {
    /// The nearest point.
    pub(super) at: (f32, f32),
    /// Its cell.
    pub(super) cell: (i32, i32),
    /// Half the difference of the distances: how far the border is.
    pub(super) border: f32,
}

/// `jitter` is 0 for a regular grid, 1 for points anywhere in their cells.
pub(super) fn nearest(x: f32, y: f32, per: f32, jitter: f32, seed: u32) -> Nearest {
    let (i, j) = ((x * per).floor() as i32, (y * per).floor() as i32);
    let mut best = (f32::INFINITY, (0.0, 0.0), (0, 0));
    let mut second = f32::INFINITY;
    for b in j - 1..=j + 1 {
        for a in i - 1..=i + 1 {
            let shift = |k: u32| 0.5 + jitter * (uniform(a, b, seed ^ k) - 0.5);
            let p = ((a as f32 + shift(1)) / per, (b as f32 + shift(2)) / per);
            let d = ((p.0 - x).powi(2) + (p.1 - y).powi(2)).sqrt();
            if d < best.0 {
                second = best.0;
                best = (d, p, (a, b));
            } else if d < second {
                second = d;
            }
        }
    }
    Nearest {
        at: best.1,
        cell: best.2,
        border: 0.5 * (second - best.0),
    }
}

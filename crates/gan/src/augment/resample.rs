//! The geometry's resampling: without aliasing, and without an edge.
//!
//! ```text
//! reflect at the edges, by as much as the furthest corner needs
//! upsample twice with the filter f
//! sample bilinearly at M's positions
//! downsample twice with f reversed
//! ```
//!
//! `f` is the low-pass filter of the symlet with six vanishing moments (Daubechies 1988). It is
//! orthogonal to its shifts by two, so that up and down again is the identity, and a shift by whole
//! pixels is exact up to rounding.

use candle_core::{Device, Tensor};
use domex_ops::{downsample2d, grid_sample, setup_filter, upload, upsample2d};

use super::matrix::{IDENTITY, Matrix, product, scale, shift, transform};
use crate::Result;

/// The symlet's scaling coefficients, whose sum is √2.
pub(super) const SYM6: [f64; 12] = [
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
];

/// Pixels of the original size that the filter reaches to either side.
const REACH: usize = SYM6.len() / 4;

/// Moves the pixels of `x: [n, c, h, w]`, by one matrix for each picture.
pub(super) fn apply(x: &Tensor, matrices: &[Matrix]) -> Result<Tensor> {
    if matrices.iter().all(|m| *m == IDENTITY) {
        return Ok(x.clone());
    }
    let (n, _, h, w) = x.dims4()?;
    let margins = margins(matrices, w, h);
    let [left, right, top, bottom] = margins;
    let padded = reflect(&reflect(x, 3, left, right)?, 2, top, bottom)?;
    let filter = setup_filter(&SYM6, Some(true), x.device(), x.dtype())?;
    let large = upsample2d(&padded, Some(&filter), 2, [0; 4], false, 1.0)?;

    let (in_h, in_w) = (2 * (h + top + bottom), 2 * (w + left + right));
    let (out_h, out_w) = (2 * (h + 2 * REACH), 2 * (w + 2 * REACH));
    let mut grid = Vec::with_capacity(n * out_h * out_w * 2);
    for m in matrices {
        let m = normalised(m, margins, [in_w, in_h], [out_w, out_h]);
        for row in 0..out_h {
            for column in 0..out_w {
                grid.extend(transform(&m, [centre(column, out_w), centre(row, out_h)]));
            }
        }
    }
    let grid = Tensor::from_vec(grid, (n, out_h, out_w, 2), &Device::Cpu)?;
    let grid = upload(&grid, x.device())?.to_dtype(x.dtype())?;
    let moved = grid_sample(&large, &grid)?;
    let crop = -2 * REACH as i64;
    Ok(downsample2d(
        &moved,
        Some(&filter),
        2,
        [crop; 4],
        true,
        1.0,
    )?)
}

/// The middle of pixel `i` of `size`, where the picture spans −1 to 1.
fn centre(i: usize, size: usize) -> f64 {
    (2 * i + 1) as f64 / size as f64 - 1.0
}

/// `m` between positions in −1 to 1 of the small-edged result and of the padded source, both at
/// twice the resolution.
fn normalised(
    m: &Matrix,
    [left, right, top, bottom]: [usize; 4],
    [in_w, in_h]: [usize; 2],
    [out_w, out_h]: [usize; 2],
) -> Matrix {
    // The padded picture's centre is not the picture's.
    let off = |before: usize, after: usize| (before as f64 - after as f64) / 2.0;
    let chain = [
        scale(2.0 / in_w as f64, 2.0 / in_h as f64),
        // Upsampling puts a pixel's value on the first of its two places.
        shift(-0.5, -0.5),
        scale(2.0, 2.0),
        shift(off(left, right), off(top, bottom)),
        *m,
        scale(0.5, 0.5),
        shift(0.5, 0.5),
        scale(out_w as f64 / 2.0, out_h as f64 / 2.0),
    ];
    chain.iter().fold(IDENTITY, |sum, next| product(&sum, next))
}

/// Pixels to add left, right, top and bottom, so that all corners of all results lie inside, with
/// the filter's reach around them; at most what one reflection can give.
fn margins(matrices: &[Matrix], w: usize, h: usize) -> [usize; 4] {
    let (cx, cy) = ((w as f64 - 1.0) / 2.0, (h as f64 - 1.0) / 2.0);
    let corners = [[-cx, -cy], [cx, -cy], [cx, cy], [-cx, cy]];
    let mut furthest = [0.0f64; 4];
    for m in matrices {
        for corner in corners {
            let [x, y] = transform(m, corner);
            for (reached, value) in furthest.iter_mut().zip([-x, x, -y, y]) {
                *reached = reached.max(value);
            }
        }
    }
    let limits = [(cx, w), (cx, w), (cy, h), (cy, h)];
    std::array::from_fn(|side| {
        let (centre, size) = limits[side];
        let margin = furthest[side] + 2.0 * REACH as f64 - centre;
        // Also 0 where a factor overflowed to something that is no number.
        margin.clamp(0.0, size as f64 - 1.0).ceil() as usize
    })
}

/// `x` with its own mirror images before and after it along `dim`, the edge pixel not repeated.
fn reflect(x: &Tensor, dim: usize, before: usize, after: usize) -> Result<Tensor> {
    if before == 0 && after == 0 {
        return Ok(x.clone());
    }
    let size = x.dim(dim)?;
    let last = size as i64 - 1;
    let index: Vec<u32> = (-(before as i64)..(size + after) as i64)
        .map(|i| (last - (last - i.abs()).abs()) as u32)
        .collect();
    let index = Tensor::from_vec(index, before + size + after, &Device::Cpu)?;
    let index = upload(&index, x.device())?;
    Ok(x.contiguous()?.index_select(&index, dim)?)
}

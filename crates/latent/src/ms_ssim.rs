//! 1 − MS-SSIM, a structural distance that needs no weights.
//!
//! Wang, Simoncelli and Bovik, *Multi-scale structural similarity for image quality assessment*,
//! Asilomar 2003. On pixels in `[0, 1]`, with means μ, variances σ² and covariance σ_xy under a Gaussian
//! window (11 pixels, standard deviation 1.5, positions inside the picture only):
//!
//! ```text
//! l  = (2 μ_x μ_y + C1) / (μ_x² + μ_y² + C1)        C1 = 0.01²
//! cs = (2 σ_xy    + C2) / (σ_x² + σ_y² + C2)        C2 = 0.03²
//! MS-SSIM = mean(l·cs at the coarsest scale)^β_M  Π_{j<M} mean(cs at scale j)^β_j
//! ```
//!
//! from fine to coarse, with a 2×2 average between scales and β = 0.0448, 0.2856, 0.3001, 0.2363,
//! 0.1333. It is taken per channel, then averaged; a negative factor counts as 0.
//!
//! **Small pictures.** Five scales need sides of 176 pixels. A smaller picture gets as many as keep
//! the coarsest side at 11 or more (at least one), with their β brought to sum 1. A side below 11
//! shrinks the window to the largest odd size that fits, and its deviation in proportion.

use candle_core::{DType, Tensor};
use domex_ops::upfirdn2d::{UpFirDn, upfirdn2d};
use domex_ops::{Pool, avg_pool2d};

use crate::distance::{ImageDistance, check_pair};
use crate::{Error, Result};

const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const WINDOW: usize = 11;
const DEVIATION: f64 = 1.5;
/// Below this side a window has nothing to slide over.
const MIN_SIDE: usize = 4;
/// A factor is at least this, so that its power has a finite slope.
const FLOOR: f64 = 1e-8;

/// See the [module docs](self). Between 0 for equal pictures and 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct MsSsim;

impl ImageDistance for MsSsim {
    fn name(&self) -> &str {
        "ms_ssim"
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(ms_ssim(a, b)?.affine(-1.0, 1.0)?)
    }
}

/// MS-SSIM `[n]` of pictures `[n, c, h, w]` in `[-1, 1]`, values outside clamped. 1 for equal ones.
///
/// # Errors
///
/// When the shapes differ or a side is below 4.
pub fn ms_ssim(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_pair(a, b)?;
    let (_, _, h, w) = a.dims4()?;
    let side = h.min(w);
    if side < MIN_SIDE {
        let expected = format!("height and width of at least {MIN_SIDE}");
        return Err(Error::shape("picture", expected, a.dims()));
    }
    let (mut a, mut b) = (to_unit_range(a)?, to_unit_range(b)?);
    let weights = scale_weights(side);
    let taps = window(side);
    let window = Tensor::new(taps.as_slice(), a.device())?.to_dtype(a.dtype())?;
    let mut product: Option<Tensor> = None;
    for (j, &weight) in weights.iter().enumerate() {
        let (ssim, cs) = similarity(&a, &b, &window)?;
        let last = j + 1 == weights.len();
        let factor = if last { ssim } else { cs };
        // The power of a floor is no 0: of the finest scale it would be 0.44.
        let counts = factor.gt(0.0)?.to_dtype(factor.dtype())?;
        let power = (factor.maximum(FLOOR)?.powf(weight)? * counts)?; // [n, c]
        product = Some(match product {
            Some(product) => (product * power)?,
            None => power,
        });
        if !last {
            (a, b) = (halve(&a)?, halve(&b)?);
        }
    }
    // There is at least one scale.
    let product = product.ok_or_else(|| Error::setting("scales", 0, "at least 1"))?;
    Ok(product.mean(1)?)
}

/// `[-1, 1]` to `[0, 1]`, at least float32.
fn to_unit_range(x: &Tensor) -> Result<Tensor> {
    let x = if x.dtype() == DType::F64 {
        x.clone()
    } else {
        x.to_dtype(DType::F32)?
    };
    Ok(x.clamp(-1.0, 1.0)?.affine(0.5, 0.5)?.contiguous()?)
}

/// Weights of the scales that fit, fine to coarse, summing to 1.
fn scale_weights(side: usize) -> Vec<f64> {
    let mut scales = 1;
    while scales < WEIGHTS.len() && side >> scales >= WINDOW {
        scales += 1;
    }
    let sum: f64 = WEIGHTS[..scales].iter().sum();
    WEIGHTS[..scales].iter().map(|w| w / sum).collect()
}

/// Gaussian window of at most `side` taps, summing to 1.
fn window(side: usize) -> Vec<f64> {
    let size = if side >= WINDOW {
        WINDOW
    } else {
        side - (side + 1) % 2
    };
    let deviation = DEVIATION * size as f64 / WINDOW as f64;
    let centre = (size - 1) as f64 / 2.0;
    let gauss = |i: usize| (-((i as f64 - centre) / deviation).powi(2) / 2.0).exp();
    let sum: f64 = (0..size).map(gauss).sum();
    (0..size).map(|i| gauss(i) / sum).collect()
}

/// Means over positions of `l·cs` and `cs`, each `[n, c]`.
fn similarity(a: &Tensor, b: &Tensor, window: &Tensor) -> Result<(Tensor, Tensor)> {
    let n = a.dim(0)?;
    // All five moments in one pass of the window.
    let moments = Tensor::cat(&[a, b, &a.sqr()?, &b.sqr()?, &(a * b)?], 0)?;
    let moments = upfirdn2d(&moments, Some(window), &UpFirDn::default())?;
    let part = |i: usize| moments.narrow(0, i * n, n);
    let (mean_a, mean_b) = (part(0)?, part(1)?);
    let (square_a, square_b, both) = (mean_a.sqr()?, mean_b.sqr()?, (&mean_a * &mean_b)?);
    let covariance = (part(4)? - &both)?;
    let variances = ((part(2)? - &square_a)? + (part(3)? - &square_b)?)?;
    let cs = (covariance.affine(2.0, C2)? / (variances + C2)?)?;
    let l = (both.affine(2.0, C1)? / ((square_a + square_b)? + C1)?)?;
    let mean = |x: &Tensor| x.flatten_from(2)?.mean(2);
    Ok((mean(&(&l * &cs)?)?, mean(&cs)?))
}

/// 2×2 average, an odd last row or column dropped.
fn halve(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let even = x.narrow(2, 0, h / 2 * 2)?.narrow(3, 0, w / 2 * 2)?;
    Ok(avg_pool2d(&even, &Pool::new(2, 2), true)?)
}

#[cfg(test)]
mod tests;

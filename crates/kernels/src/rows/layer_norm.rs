//! Layer norm: `y = (x − μ) / √(σ² + ε) · weight + bias` with the row's mean μ and biased variance σ².

use rayon::prelude::*;

use super::RowsShape;
use crate::Float;
use crate::error::Result;
use crate::math::sum;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Weight and bias of a layer norm, and what is added to the variance.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a, T> {
    /// `[width]`.
    pub weight: Option<&'a [T]>,
    /// `[width]`.
    pub bias: Option<&'a [T]>,
    /// Added to the variance.
    pub eps: f64,
}

impl<T> LayerNorm<'_, T> {
    fn row(&self) -> Vec<(&'static str, usize)> {
        let weight = self.weight.map(|w| ("weight", w.len()));
        weight
            .into_iter()
            .chain(self.bias.map(|b| ("bias", b.len())))
            .collect()
    }
}

/// Layer norm of every row; `y` is overwritten.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's.
pub fn layer_norm<T: Float>(
    s: &RowsShape,
    l: &LayerNorm<'_, T>,
    x: &[T],
    y: &mut [T],
) -> Result<()> {
    layer_norm_on(Isa::best(), s, l, x, y)
}

pub(super) fn layer_norm_on<T: Float>(
    isa: Isa,
    s: &RowsShape,
    l: &LayerNorm<'_, T>,
    x: &[T],
    y: &mut [T],
) -> Result<()> {
    s.check_all("layer norm", &[("x", x.len()), ("y", y.len())], &l.row())?;
    let size = s.grain() * s.width;
    y.par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .for_each(|(y, x)| {
            dispatch(
                isa,
                Normalise {
                    l,
                    width: s.width,
                    x,
                    y,
                },
            );
        });
    Ok(())
}

struct Normalise<'a, T> {
    l: &'a LayerNorm<'a, T>,
    width: usize,
    x: &'a [T],
    y: &'a mut [T],
}

/// Mean and 1 / √(σ² + ε) of a row.
#[inline(always)]
fn statistics<T: Float>(x: &[T], eps: f64) -> (T, T) {
    let count = T::of(x.len() as f64);
    let mean = sum(x, x, |x, _| x) / count;
    // The second pass over a row that the first-level cache holds costs little and loses no digits.
    let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
    (mean, T::one() / (variance + T::of(eps)).sqrt())
}

impl<T: Float> Kernel for Normalise<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (y, x) in self
            .y
            .chunks_exact_mut(self.width)
            .zip(self.x.chunks_exact(self.width))
        {
            let (mean, factor) = statistics(x, self.l.eps);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (x - mean) * factor;
            }
            if let Some(weight) = self.l.weight {
                y.iter_mut().zip(weight).for_each(|(y, &w)| *y *= w);
            }
            if let Some(bias) = self.l.bias {
                y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
            }
        }
    }
}

/// The gradient of a layer norm: `gx`, and if wanted those of weight and bias (`[width]` each). All are overwritten.
///
/// With `h = (x − μ) r`, `r = 1/√(σ² + ε)` and `g = gy · weight`: `gx = r (g − mean(g) − h · mean(g · h))`,
/// `g_weight = Σ_rows gy · h`, `g_bias = Σ_rows gy`.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's.
pub fn layer_norm_backward<T: Float>(
    s: &RowsShape,
    l: &LayerNorm<'_, T>,
    x: &[T],
    gy: &[T],
    gx: &mut [T],
    affine: Option<(&mut [T], &mut [T])>,
) -> Result<()> {
    layer_norm_backward_on(Isa::best(), s, l, x, gy, gx, affine)
}

pub(super) fn layer_norm_backward_on<T: Float>(
    isa: Isa,
    s: &RowsShape,
    l: &LayerNorm<'_, T>,
    x: &[T],
    gy: &[T],
    gx: &mut [T],
    affine: Option<(&mut [T], &mut [T])>,
) -> Result<()> {
    let mut row = l.row();
    if let Some((weight, bias)) = &affine {
        row.extend([
            ("gradient of weight", weight.len()),
            ("gradient of bias", bias.len()),
        ]);
    }
    s.check_all(
        "layer norm",
        &[("x", x.len()), ("gy", gy.len()), ("gx", gx.len())],
        &row,
    )?;
    let (size, wanted) = (s.grain() * s.width, affine.is_some());
    let parts = gx
        .par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .zip(gy.par_chunks(size));
    let sums: Vec<[Vec<T>; 2]> = parts
        .map(|((gx, x), gy)| {
            let mut sums = [(); 2].map(|()| vec![T::zero(); if wanted { s.width } else { 0 }]);
            dispatch(
                isa,
                NormaliseBack {
                    l,
                    width: s.width,
                    x,
                    gy,
                    gx,
                    sums: &mut sums,
                },
            );
            sums
        })
        .collect();
    if let Some((weight, bias)) = affine {
        weight.fill(T::zero());
        bias.fill(T::zero());
        for part in &sums {
            weight.iter_mut().zip(&part[0]).for_each(|(g, &v)| *g += v);
            bias.iter_mut().zip(&part[1]).for_each(|(g, &v)| *g += v);
        }
    }
    Ok(())
}

struct NormaliseBack<'a, T> {
    l: &'a LayerNorm<'a, T>,
    width: usize,
    x: &'a [T],
    gy: &'a [T],
    gx: &'a mut [T],
    /// Σ gy · h and Σ gy by column; empty where not wanted.
    sums: &'a mut [Vec<T>; 2],
}

impl<T: Float> Kernel for NormaliseBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let n = self.width;
        let rows = self
            .gx
            .chunks_exact_mut(n)
            .zip(self.x.chunks_exact(n))
            .zip(self.gy.chunks_exact(n));
        let [by_weight, by_bias] = self.sums;
        for ((gx, x), gy) in rows {
            let (mean, factor) = statistics(x, self.l.eps);
            for (((sum, plain), &x), &gy) in
                by_weight.iter_mut().zip(by_bias.iter_mut()).zip(x).zip(gy)
            {
                *sum += gy * (x - mean) * factor;
                *plain += gy;
            }
            match self.l.weight {
                Some(weight) => gx
                    .iter_mut()
                    .zip(gy)
                    .zip(weight)
                    .for_each(|((g, &gy), &w)| *g = gy * w),
                None => gx.copy_from_slice(gy),
            }
            let count = T::of(n as f64);
            let along = sum(gx, x, |g, x| g * (x - mean)) * factor / count;
            let level = sum(gx, gx, |g, _| g) / count;
            for (g, &x) in gx.iter_mut().zip(x) {
                *g = factor * (*g - level - (x - mean) * factor * along);
            }
        }
    }
}

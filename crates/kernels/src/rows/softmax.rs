//! Softmax: `y = eˣ⁻ᵐ / Σ eˣ⁻ᵐ` with the row's largest value m.

use rayon::prelude::*;

use super::RowsShape;
use crate::Float;
use crate::error::Result;
use crate::math::sum;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Softmax of every row; `y` is overwritten. A row of which all are −∞ gives NaN, as the formula does.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's.
pub fn softmax<T: Float>(s: &RowsShape, x: &[T], y: &mut [T]) -> Result<()> {
    softmax_on(Isa::best(), s, x, y)
}

pub(super) fn softmax_on<T: Float>(isa: Isa, s: &RowsShape, x: &[T], y: &mut [T]) -> Result<()> {
    s.check_all("softmax", &[("x", x.len()), ("y", y.len())], &[])?;
    let size = s.grain() * s.width;
    y.par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .for_each(|(y, x)| {
            dispatch(
                isa,
                Softmax {
                    width: s.width,
                    x,
                    y,
                },
            );
        });
    Ok(())
}

struct Softmax<'a, T> {
    width: usize,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Float> Kernel for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (n, y) = (self.width, self.y);
        for (y, x) in y.chunks_exact_mut(n).zip(self.x.chunks_exact(n)) {
            let most = largest(x);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - most);
        }
        // Over all rows at once: short rows would leave most of the work to the scalar remainder of each.
        y.iter_mut().for_each(|y| *y = y.fast_exp());
        for y in y.chunks_exact_mut(n) {
            let factor = T::one() / sum(y, y, |y, _| y);
            y.iter_mut().for_each(|y| *y *= factor);
        }
    }
}

/// The largest value of a row.
#[inline(always)]
fn largest<T: Float>(x: &[T]) -> T {
    let mut most = [T::neg_infinity(); 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for lane in 0..16 {
            most[lane] = if chunk[lane] > most[lane] {
                chunk[lane]
            } else {
                most[lane]
            };
        }
    }
    for (most, &x) in most.iter_mut().zip(rest) {
        *most = if x > *most { x } else { *most };
    }
    most.into_iter().fold(T::neg_infinity(), T::max)
}

/// The gradient of a softmax from its result: `gx = y (gy − Σ gy · y)`; `gx` is overwritten.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's.
pub fn softmax_backward<T: Float>(s: &RowsShape, y: &[T], gy: &[T], gx: &mut [T]) -> Result<()> {
    softmax_backward_on(Isa::best(), s, y, gy, gx)
}

pub(super) fn softmax_backward_on<T: Float>(
    isa: Isa,
    s: &RowsShape,
    y: &[T],
    gy: &[T],
    gx: &mut [T],
) -> Result<()> {
    s.check_all(
        "softmax",
        &[("y", y.len()), ("gy", gy.len()), ("gx", gx.len())],
        &[],
    )?;
    let size = s.grain() * s.width;
    gx.par_chunks_mut(size)
        .zip(y.par_chunks(size))
        .zip(gy.par_chunks(size))
        .for_each(|((gx, y), gy)| {
            dispatch(
                isa,
                SoftmaxBack {
                    width: s.width,
                    y,
                    gy,
                    gx,
                },
            );
        });
    Ok(())
}

struct SoftmaxBack<'a, T> {
    width: usize,
    y: &'a [T],
    gy: &'a [T],
    gx: &'a mut [T],
}

impl<T: Float> Kernel for SoftmaxBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let n = self.width;
        let rows = self
            .gx
            .chunks_exact_mut(n)
            .zip(self.y.chunks_exact(n))
            .zip(self.gy.chunks_exact(n));
        for ((gx, y), gy) in rows {
            let level = sum(gy, y, |gy, y| gy * y);
            for ((g, &y), &gy) in gx.iter_mut().zip(y).zip(gy) {
                *g = y * (gy - level);
            }
        }
    }
}

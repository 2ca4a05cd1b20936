//! Bias and rectifier where the convolution has just written, and the way back from its result alone.
//!
//! `y ← max(y + bias, 0)` and `gz = gy where y > 0, else 0`: the sign of the result is all that the gradient needs, so nothing before
//! the rectifier is kept. NaN stays NaN.

use rayon::prelude::*;

use super::{Check, EpilogueShape, OPERATOR};
use crate::Float;
use crate::error::Result;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Adds `bias [channels]` to `y [n, channels, pixels]` and cuts off what is below zero, in place.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's.
pub fn bias_relu<T: Float>(s: &EpilogueShape, bias: Option<&[T]>, y: &mut [T]) -> Result<()> {
    bias_relu_on(Isa::best(), s, bias, y)
}

fn bias_relu_on<T: Float>(
    isa: Isa,
    s: &EpilogueShape,
    bias: Option<&[T]>,
    y: &mut [T],
) -> Result<()> {
    s.check()?;
    let check = Check {
        operator: OPERATOR,
        shape: s,
    };
    check.length("y", y.len(), s.n * s.channels * s.pixels)?;
    bias.map_or(Ok(()), |b| check.length("bias", b.len(), s.channels))?;
    let grain = s.grain();
    y.par_chunks_mut(grain * s.pixels)
        .enumerate()
        .for_each(|(index, y)| {
            let first = index * grain;
            dispatch(isa, Cut { s, bias, first, y });
        });
    Ok(())
}

/// Some planes, from `first` on.
struct Cut<'a, T> {
    s: &'a EpilogueShape,
    bias: Option<&'a [T]>,
    first: usize,
    y: &'a mut [T],
}

impl<T: Float> Kernel for Cut<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let zero = T::zero();
        for (plane, y) in self.y.chunks_mut(self.s.pixels).enumerate() {
            let channel = (self.first + plane) % self.s.channels;
            let bias = self.bias.map_or(zero, |bias| bias[channel]);
            for y in y {
                let z = *y + bias;
                *y = if z <= zero { zero } else { z };
            }
        }
    }
}

/// `gz = gy` where the result `y` is above zero, zero elsewhere; `gz` is overwritten.
///
/// # Errors
///
/// Slices of different lengths.
pub fn relu_backward<T: Float>(y: &[T], gy: &[T], gz: &mut [T]) -> Result<()> {
    let check = Check {
        operator: "gradient of a rectifier",
        shape: &y.len(),
    };
    check.length("gy", gy.len(), y.len())?;
    check.length("gz", gz.len(), y.len())?;
    gz.par_chunks_mut(super::GRAIN)
        .zip(y.par_chunks(super::GRAIN))
        .zip(gy.par_chunks(super::GRAIN))
        .for_each(|((gz, y), gy)| dispatch(Isa::best(), Pass { y, gy, gz }));
    Ok(())
}

struct Pass<'a, T> {
    y: &'a [T],
    gy: &'a [T],
    gz: &'a mut [T],
}

impl<T: Float> Kernel for Pass<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for ((gz, &y), &gy) in self.gz.iter_mut().zip(self.y).zip(self.gy) {
            *gz = if y > T::zero() { gy } else { T::zero() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn every_instruction_set_cuts_at_zero() {
        for (n, channels, pixels) in [(1, 1, 1), (2, 3, 17), (3, 5, 64), (1, 7, 20_000)] {
            let s = EpilogueShape {
                n,
                channels,
                pixels,
            };
            let (x, bias) = (
                noise::<f32>(n * channels * pixels, 1),
                noise::<f32>(channels, 2),
            );
            for bias in [None, Some(&bias[..])] {
                for isa in Isa::available() {
                    let mut y = x.clone();
                    bias_relu_on(isa, &s, bias, &mut y).unwrap();
                    for (i, (&y, &x)) in y.iter().zip(&x).enumerate() {
                        let z = x + bias.map_or(0.0, |b| b[i / pixels % channels]);
                        assert_eq!(y, z.max(0.0));
                    }
                }
            }
        }
    }

    #[test]
    fn kinks_infinities_and_nan() {
        let s = EpilogueShape {
            n: 1,
            channels: 1,
            pixels: 5,
        };
        let mut y = [f64::NEG_INFINITY, -0.0, 1.0, f64::INFINITY, f64::NAN];
        bias_relu(&s, None, &mut y).unwrap();
        assert_eq!(y[..4], [0.0, 0.0, 1.0, f64::INFINITY]);
        assert!(y[4].is_nan());
        let mut gz = [7.0; 4];
        relu_backward(&y[..4], &[f64::NAN, 2.0, 3.0, 4.0], &mut gz).unwrap();
        assert_eq!(gz, [0.0, 0.0, 3.0, 4.0]);
        assert!(bias_relu(&s, Some(&[]), &mut y).is_err());
        assert!(bias_relu(&s, None, &mut y[..4]).is_err());
        assert!(relu_backward(&y, &[0.0; 4], &mut gz).is_err());
    }
}

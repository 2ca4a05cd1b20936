//! What follows a convolution, in one pass over its output: demodulation, noise, bias, activation, gain, clamp.
//!
//! For image n, channel c, pixel p:
//! `z = x · scale[n, c] + noise[n, p] + bias[c]`, `y = clamp(gain · act(z), ± limit)`; each part may be absent.
//! `x, y [n, channels, pixels]`, `scale [n, channels]`, `noise [n, pixels]` or `[1, pixels]`, `bias [channels]`.
//! The backward pass recomputes z from x, so that nothing but x is kept:
//! `gz = gy · gain · act'(z)`, zero where clamped; `gx = gz · scale`, `g_scale = Σ_p gz · x`, `g_bias = Σ_{n, p} gz`, and
//! `g_noise = Σ_c gz`.

use rayon::prelude::*;

use crate::activation::{Curve, with_curve};
use crate::error::{Check, Result};
use crate::math::sum;
use crate::simd::{Isa, Kernel, Simd, dispatch};
use crate::{Activation, Float};

/// The sizes of an epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpilogueShape {
    /// Images.
    pub n: usize,
    /// Channels.
    pub channels: usize,
    /// Pixels of a plane.
    pub pixels: usize,
}

/// What is done to a convolution's output.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a, T> {
    /// Demodulation factors `[n, channels]`.
    pub scale: Option<&'a [T]>,
    /// Noise `[n, pixels]`, or `[pixels]` for all images, with its strength already in it.
    pub noise: Option<&'a [T]>,
    /// Bias `[channels]`.
    pub bias: Option<&'a [T]>,
    /// The activation.
    pub act: Activation,
    /// Factor after the activation.
    pub gain: f64,
    /// The result stays within ± this.
    pub clamp: Option<f64>,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self {
            scale: None,
            noise: None,
            bias: None,
            act: Activation::Linear,
            gain: 1.0,
            clamp: None,
        }
    }
}

/// Where the gradients of the small operands go; each is overwritten.
#[derive(Debug, Default)]
pub struct EpilogueGrads<'a, T> {
    /// `[n, channels]`.
    pub scale: Option<&'a mut [T]>,
    /// `[n, pixels]`, or `[pixels]` where the noise is shared: the same length as the noise's.
    pub noise: Option<&'a mut [T]>,
    /// `[channels]`.
    pub bias: Option<&'a mut [T]>,
}

const OPERATOR: &str = "epilogue";

impl EpilogueShape {
    /// Refuses sizes of zero and overflow.
    ///
    /// # Errors
    ///
    /// The field at fault.
    pub fn check(&self) -> Result<()> {
        let check = Check {
            operator: OPERATOR,
            shape: self,
        };
        check.non_zero(&[
            ("n", self.n),
            ("channels", self.channels),
            ("pixels", self.pixels),
        ])?;
        check
            .count("x", &[self.n, self.channels, self.pixels])
            .map(|_| ())
    }

    fn check_all<T>(&self, e: &Epilogue<'_, T>, lengths: &[(&'static str, usize)]) -> Result<()> {
        self.check()?;
        let check = Check {
            operator: OPERATOR,
            shape: self,
        };
        for &(name, found) in lengths {
            check.length(name, found, self.n * self.channels * self.pixels)?;
        }
        self.check_small(e.scale, e.noise, e.bias)
    }

    fn check_small<T>(
        &self,
        scale: Option<&[T]>,
        noise: Option<&[T]>,
        bias: Option<&[T]>,
    ) -> Result<()> {
        let check = Check {
            operator: OPERATOR,
            shape: self,
        };
        scale.map_or(Ok(()), |s| {
            check.length("scale", s.len(), self.n * self.channels)
        })?;
        bias.map_or(Ok(()), |b| check.length("bias", b.len(), self.channels))?;
        noise.map_or(Ok(()), |noise| {
            let shared = noise.len() == self.pixels;
            check.length(
                "noise",
                noise.len(),
                if shared {
                    self.pixels
                } else {
                    self.n * self.pixels
                },
            )
        })
    }
}

impl<'a, T: Float> Epilogue<'a, T> {
    /// Scale, noise line and bias of plane `index`.
    fn plane(&self, s: &EpilogueShape, index: usize) -> (T, Option<&'a [T]>, T) {
        let (image, channel) = (index / s.channels, index % s.channels);
        let noise = self.noise.map(|noise| {
            let start = if noise.len() == s.pixels {
                0
            } else {
                image * s.pixels
            };
            &noise[start..][..s.pixels]
        });
        (
            self.scale.map_or(T::one(), |f| f[index]),
            noise,
            self.bias.map_or(T::zero(), |b| b[channel]),
        )
    }

    fn limit(&self) -> T {
        self.clamp.map_or(T::infinity(), T::of)
    }
}

/// `y` from `x`; y is overwritten.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's.
pub fn forward<T: Float>(
    s: &EpilogueShape,
    e: &Epilogue<'_, T>,
    x: &[T],
    y: &mut [T],
) -> Result<()> {
    forward_on(Isa::best(), s, e, x, y)
}

fn forward_on<T: Float>(
    isa: Isa,
    s: &EpilogueShape,
    e: &Epilogue<'_, T>,
    x: &[T],
    y: &mut [T],
) -> Result<()> {
    s.check_all(e, &[("x", x.len()), ("y", y.len())])?;
    y.par_chunks_mut(s.pixels)
        .zip(x.par_chunks(s.pixels))
        .enumerate()
        .for_each(|(index, (y, x))| {
            dispatch(
                isa,
                Forward {
                    e,
                    plane: e.plane(s, index),
                    x,
                    y,
                },
            );
        });
    Ok(())
}

struct Forward<'a, T> {
    e: &'a Epilogue<'a, T>,
    plane: (T, Option<&'a [T]>, T),
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Float> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        with_curve!(self.e.act, T, |curve| self.loops(curve));
    }
}

impl<T: Float> Forward<'_, T> {
    #[inline(always)]
    fn loops<C: Curve<T>>(self, curve: C) {
        let (scale, noise, bias) = self.plane;
        let (gain, limit) = (T::of(self.e.gain), self.e.limit());
        match noise {
            Some(noise) => {
                for ((y, &x), &noise) in self.y.iter_mut().zip(self.x).zip(noise) {
                    *y = clamped(gain * curve.value(x * scale + (noise + bias)), limit);
                }
            }
            None => {
                for (y, &x) in self.y.iter_mut().zip(self.x) {
                    *y = clamped(gain * curve.value(x * scale + bias), limit);
                }
            }
        }
    }
}

/// Between ± limit; NaN stays NaN, as it must not look like a number.
#[inline(always)]
fn clamped<T: Float>(y: T, limit: T) -> T {
    let y = if y > limit { limit } else { y };
    if y < -limit { -limit } else { y }
}

/// `gx` and the gradients of the small operands, from `x` and `gy`. All are overwritten.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's; a gradient of the noise without a noise.
pub fn backward<T: Float>(
    s: &EpilogueShape,
    e: &Epilogue<'_, T>,
    x: &[T],
    gy: &[T],
    gx: &mut [T],
    grads: EpilogueGrads<'_, T>,
) -> Result<()> {
    backward_on(Isa::best(), s, e, x, gy, gx, grads)
}

fn backward_on<T: Float>(
    isa: Isa,
    s: &EpilogueShape,
    e: &Epilogue<'_, T>,
    x: &[T],
    gy: &[T],
    gx: &mut [T],
    grads: EpilogueGrads<'_, T>,
) -> Result<()> {
    s.check_all(e, &[("x", x.len()), ("gy", gy.len()), ("gx", gx.len())])?;
    s.check_small(
        grads.scale.as_deref(),
        grads.noise.as_deref(),
        grads.bias.as_deref(),
    )?;
    let noise_wanted = grads.noise.is_some();
    // One image at a time per thread group: the gradient of the noise adds up over its planes.
    let mut plane_sums = vec![(T::zero(), T::zero()); s.n * s.channels];
    let planes = gx
        .par_chunks_mut(s.pixels)
        .zip(plane_sums.par_iter_mut())
        .enumerate();
    planes.for_each(|(index, (gx, sums))| {
        let (x, gy) = (
            &x[index * s.pixels..][..s.pixels],
            &gy[index * s.pixels..][..s.pixels],
        );
        // With a noise gradient, gx holds gz until that is summed.
        *sums = dispatch(
            isa,
            Backward {
                e,
                plane: e.plane(s, index),
                x,
                gy,
                gx,
                unscaled: noise_wanted,
            },
        );
    });
    if let Some(noise) = grads.noise {
        let shared = noise.len() == s.pixels;
        noise.fill(T::zero());
        for (index, gx) in gx.chunks_mut(s.pixels).enumerate() {
            let start = if shared {
                0
            } else {
                index / s.channels * s.pixels
            };
            let scale = e.scale.map_or(T::one(), |f| f[index]);
            for (sum, gz) in noise[start..][..s.pixels].iter_mut().zip(gx) {
                *sum += *gz;
                *gz *= scale;
            }
        }
    }
    if let Some(scale) = grads.scale {
        scale
            .iter_mut()
            .zip(&plane_sums)
            .for_each(|(g, sums)| *g = sums.1);
    }
    if let Some(bias) = grads.bias {
        for (c, g) in bias.iter_mut().enumerate() {
            *g = plane_sums
                .iter()
                .skip(c)
                .step_by(s.channels)
                .map(|sums| sums.0)
                .sum();
        }
    }
    Ok(())
}

struct Backward<'a, T> {
    e: &'a Epilogue<'a, T>,
    plane: (T, Option<&'a [T]>, T),
    x: &'a [T],
    gy: &'a [T],
    gx: &'a mut [T],
    unscaled: bool,
}

impl<T: Float> Kernel for Backward<'_, T> {
    /// Σ gz and Σ gz · x.
    type Output = (T, T);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (T, T) {
        with_curve!(self.e.act, T, |curve| self.loops(curve))
    }
}

impl<T: Float> Backward<'_, T> {
    #[inline(always)]
    fn loops<C: Curve<T>>(self, curve: C) -> (T, T) {
        let (scale, noise, bias) = self.plane;
        let (gain, limit) = (T::of(self.e.gain), self.e.limit());
        let (x, gx) = (self.x, self.gx);
        match noise {
            Some(noise) => {
                for (((gx, &x), &gy), &noise) in gx.iter_mut().zip(x).zip(self.gy).zip(noise) {
                    *gx = unclamped(curve, x * scale + (noise + bias), gy, gain, limit);
                }
            }
            None => {
                for ((gx, &x), &gy) in gx.iter_mut().zip(x).zip(self.gy) {
                    *gx = unclamped(curve, x * scale + bias, gy, gain, limit);
                }
            }
        }
        // A plane is still in the nearest caches here.
        let sums = (sum(gx, gx, |g, _| g), sum(gx, x, |g, x| g * x));
        if !self.unscaled {
            gx.iter_mut().for_each(|g| *g *= scale);
        }
        sums
    }
}

/// The gradient of z: zero where the result was clamped. Without a clamp the limit is infinite and never reached.
#[inline(always)]
fn unclamped<T: Float, C: Curve<T>>(curve: C, z: T, gy: T, gain: T, limit: T) -> T {
    let gz = gy * gain * curve.slope(z);
    if (gain * curve.value(z)).abs() >= limit {
        T::zero()
    } else {
        gz
    }
}

#[cfg(test)]
mod tests;

//! What follows a convolution, in one pass over its output: demodulation, noise, bias, activation, gain, clamp.
//!
//! For image n, channel c, pixel p:
//! `z = x · scale[n, c] + noise[n, p] + bias[c]`, `y = clamp(gain · act(z), ± limit)`; each part may be absent.
//! `x, y [n, channels, pixels]`, `scale [n, channels]`, `noise [n, pixels]` or `[1, pixels]`, `bias [channels]`.
//! The backward pass recomputes z from x, so that nothing but x is kept:
//! `gz = gy · gain · act'(z)`, zero beyond the limit; `gx = gz · scale`, `g_scale = Σ_p gz · x`, `g_bias = Σ_{n, p} gz`, and
//! `g_noise = Σ_c gz`. After a transposed convolution a low-pass filter comes before all that, in the same pass ([`forward_filtered`]).

mod filtered;
mod relu;

pub use filtered::{Taps, forward_filtered};
pub use relu::{bias_relu, relu_backward};

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

/// Elements that a thread takes at once, about: some microseconds of work, far more than taking it costs.
const GRAIN: usize = 1 << 14;
/// Elements that are summed in their own type, and that the first-level cache holds three times over.
const LINE: usize = 1 << 11;
/// Parts of an image that the gradient of the noise is summed in, at most. The number must not depend on that of the
/// threads, or results would.
const NOISE_PARTS: usize = 8;

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

    /// Planes that a thread takes at once.
    fn grain(&self) -> usize {
        (GRAIN / self.pixels).max(1)
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
    let planes = s.grain();
    let size = planes * s.pixels;
    y.par_chunks_mut(size)
        .zip(x.par_chunks(size))
        .enumerate()
        .for_each(|(part, (y, x))| {
            let first = part * planes;
            dispatch(isa, Forward { s, e, first, x, y });
        });
    Ok(())
}

/// The planes from number `first` on.
struct Forward<'a, T> {
    s: &'a EpilogueShape,
    e: &'a Epilogue<'a, T>,
    first: usize,
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
        let (gain, limit) = (T::of(self.e.gain), self.e.limit());
        let planes = self
            .y
            .chunks_exact_mut(self.s.pixels)
            .zip(self.x.chunks_exact(self.s.pixels));
        for (index, (y, x)) in planes.enumerate() {
            let (scale, noise, bias) = self.e.plane(self.s, self.first + index);
            match noise {
                Some(noise) => {
                    for ((y, &x), &noise) in y.iter_mut().zip(x).zip(noise) {
                        *y = clamped(gain * curve.value(x * scale + (noise + bias)), limit);
                    }
                }
                None => {
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = clamped(gain * curve.value(x * scale + bias), limit);
                    }
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
    let wanted = Wanted {
        x: true,
        scale: grads.scale.is_some(),
        noise: grads.noise.is_some(),
        bias: grads.bias.is_some(),
    };
    let parts = parts(isa, s, e, wanted, x, gy, gx);
    let planes = || parts.iter().flat_map(|part| &part.planes);
    if let Some(scale) = grads.scale {
        scale
            .iter_mut()
            .zip(planes())
            .for_each(|(g, plane)| *g = T::of(plane.scale));
    }
    if let Some(bias) = grads.bias {
        for (c, g) in bias.iter_mut().enumerate() {
            let images = planes().skip(c).step_by(s.channels);
            *g = T::of(images.map(|plane| plane.bias).sum());
        }
    }
    if let Some(noise) = grads.noise {
        let shared = noise.len() == s.pixels;
        noise.fill(T::zero());
        for part in &parts {
            let start = if shared { 0 } else { part.image * s.pixels };
            let noise = &mut noise[start..][..s.pixels];
            noise
                .iter_mut()
                .zip(&part.noise)
                .for_each(|(g, &v)| *g += v);
        }
    }
    Ok(())
}

/// The gradient `gz` of z alone, for whoever differentiates it again: it is linear in `gy`. It is overwritten.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's.
pub fn backward_z<T: Float>(
    s: &EpilogueShape,
    e: &Epilogue<'_, T>,
    x: &[T],
    gy: &[T],
    gz: &mut [T],
) -> Result<()> {
    s.check_all(e, &[("x", x.len()), ("gy", gy.len()), ("gz", gz.len())])?;
    parts(Isa::best(), s, e, Wanted::default(), x, gy, gz);
    Ok(())
}

/// Which gradients a backward pass computes besides that of z.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    x: bool,
    scale: bool,
    noise: bool,
    bias: bool,
}

/// What some planes of one image add to the gradients of the small operands.
struct Part<T> {
    image: usize,
    planes: Vec<PlaneSums>,
    /// Σ_c gz; empty where not wanted.
    noise: Vec<T>,
}

/// Σ gz · x and Σ gz of a plane.
#[derive(Debug, Clone, Copy, Default)]
struct PlaneSums {
    scale: f64,
    bias: f64,
}

/// The backward pass over all planes: `out` becomes gx, or gz where that is not wanted. The parts come in the order of
/// the planes.
fn parts<T: Float>(
    isa: Isa,
    s: &EpilogueShape,
    e: &Epilogue<'_, T>,
    wanted: Wanted,
    x: &[T],
    gy: &[T],
    out: &mut [T],
) -> Vec<Part<T>> {
    let few = if wanted.noise {
        s.channels.div_ceil(NOISE_PARTS)
    } else {
        1
    };
    let planes = s.grain().max(few).min(s.channels);
    let images = out.par_chunks_mut(s.channels * s.pixels).enumerate();
    let parts = images.flat_map(|(image, out)| {
        let parts = out.par_chunks_mut(planes * s.pixels).enumerate();
        parts.map(move |(part, out)| {
            let first = image * s.channels + part * planes;
            let (x, gy) = (&x[first * s.pixels..], &gy[first * s.pixels..]);
            let mut part = Part {
                image,
                planes: vec![PlaneSums::default(); out.len() / s.pixels],
                noise: vec![T::zero(); if wanted.noise { s.pixels } else { 0 }],
            };
            dispatch(
                isa,
                Backward {
                    s,
                    e,
                    wanted,
                    first,
                    x: &x[..out.len()],
                    gy: &gy[..out.len()],
                    out,
                    part: &mut part,
                },
            );
            part
        })
    });
    parts.collect()
}

/// The planes from number `first` on.
struct Backward<'a, T> {
    s: &'a EpilogueShape,
    e: &'a Epilogue<'a, T>,
    wanted: Wanted,
    first: usize,
    x: &'a [T],
    gy: &'a [T],
    out: &'a mut [T],
    part: &'a mut Part<T>,
}

impl<T: Float> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        with_curve!(self.e.act, T, |curve| self.loops(curve));
    }
}

impl<T: Float> Backward<'_, T> {
    #[inline(always)]
    fn loops<C: Curve<T>>(self, curve: C) {
        let (gain, limit, pixels) = (T::of(self.e.gain), self.e.limit(), self.s.pixels);
        let Part { planes, noise, .. } = self.part;
        for (index, sums) in planes.iter_mut().enumerate() {
            let (scale, field, bias) = self.e.plane(self.s, self.first + index);
            let mut start = 0;
            // All that is done to a line is done while the first-level cache holds it.
            while start < pixels {
                let len = LINE.min(pixels - start);
                let at = index * pixels + start;
                let (x, gy) = (&self.x[at..][..len], &self.gy[at..][..len]);
                let out = &mut self.out[at..][..len];
                match field {
                    Some(field) => {
                        let field = &field[start..][..len];
                        for (((g, &x), &gy), &noise) in out.iter_mut().zip(x).zip(gy).zip(field) {
                            *g = unclamped(curve, x * scale + (noise + bias), gy, gain, limit);
                        }
                    }
                    None => {
                        for ((g, &x), &gy) in out.iter_mut().zip(x).zip(gy) {
                            *g = unclamped(curve, x * scale + bias, gy, gain, limit);
                        }
                    }
                }
                if self.wanted.bias {
                    sums.bias += sum(out, out, |g, _| g).wide();
                }
                if self.wanted.scale {
                    sums.scale += sum(out, x, |g, x| g * x).wide();
                }
                if self.wanted.noise {
                    let noise = &mut noise[start..][..len];
                    noise.iter_mut().zip(&*out).for_each(|(sum, &g)| *sum += g);
                }
                if self.wanted.x && self.e.scale.is_some() {
                    out.iter_mut().for_each(|g| *g *= scale);
                }
                start += len;
            }
        }
    }
}

/// The gradient of z: zero beyond the limit, and where the slope is zero also for an infinite gy. A result at the limit
/// passes its gradient; without a clamp the limit is infinite and never exceeded.
#[inline(always)]
fn unclamped<T: Float, C: Curve<T>>(curve: C, z: T, gy: T, gain: T, limit: T) -> T {
    let slope = curve.slope(z);
    let cut = (gain * curve.value(z)).abs() > limit || slope == T::zero();
    if cut { T::zero() } else { gy * (gain * slope) }
}

#[cfg(test)]
mod tests;

//! Group norm, an affine map of its own for every image and channel, and SiLU, in one pass each way.
//!
//! `u = (x − μ) r · scale[n, c] + shift[n, c]`, `y = u · σ(u)`, with mean `μ` and `r = 1/√(var + ε)` of a group of consecutive
//! channels with all their pixels; `x, y [n, channels, pixels]`, `scale, shift [n, channels]`.
//! The backward pass recomputes u from x, so that nothing but x is kept. With `h = (x − μ) r`, `gu = gy · silu'(u)` and means
//! over the group: `g_shift = Σ_p gu`, `g_scale = Σ_p gu · h`, `gx = r (gu · scale − mean(gu · scale) − h · mean(gu · scale · h))`.

use rayon::prelude::*;

use crate::error::{Check, Result};
use crate::math::sum;
use crate::simd::{Isa, Kernel, Simd, dispatch};
use crate::{Activation, Float};

const OPERATOR: &str = "group norm";

/// Elements that are summed in their own type; the sums of such runs are added up in f64.
const RUN: usize = 1 << 12;

/// The sizes of a group norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNormShape {
    /// Images.
    pub n: usize,
    /// Channels, a multiple of the groups.
    pub channels: usize,
    /// Groups of channels.
    pub groups: usize,
    /// Pixels of a plane.
    pub pixels: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl GroupNormShape {
    /// Refuses sizes of zero, overflow, and channels that do not fall into equal groups.
    ///
    /// # Errors
    ///
    /// The field at fault.
    pub fn check(&self) -> Result<()> {
        let check = self.checker();
        check.non_zero(&[
            ("n", self.n),
            ("channels", self.channels),
            ("groups", self.groups),
            ("pixels", self.pixels),
        ])?;
        let whole = self.channels / self.groups * self.groups;
        check.length("channels", self.channels, whole)?;
        check
            .count("x", &[self.n, self.channels, self.pixels])
            .map(|_| ())
    }

    fn checker(&self) -> Check<'_> {
        Check {
            operator: OPERATOR,
            shape: self,
        }
    }

    fn check_all(
        &self,
        planes: &[(&'static str, usize)],
        channels: &[(&'static str, usize)],
    ) -> Result<()> {
        self.check()?;
        let check = self.checker();
        let rows = self.n * self.channels;
        planes
            .iter()
            .try_for_each(|&(name, found)| check.length(name, found, rows * self.pixels))?;
        channels
            .iter()
            .try_for_each(|&(name, found)| check.length(name, found, rows))
    }

    /// Channels of a group.
    fn members(&self) -> usize {
        self.channels / self.groups
    }

    /// Elements of a group.
    fn group(&self) -> usize {
        self.members() * self.pixels
    }
}

/// Operands of the forward pass and of the backward pass.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm<'a, T> {
    /// `[n, channels, pixels]`.
    pub x: &'a [T],
    /// `[n, channels]`.
    pub scale: &'a [T],
    /// `[n, channels]`.
    pub shift: &'a [T],
}

/// Where the gradients go; all are overwritten.
#[derive(Debug)]
pub struct GroupNormGrads<'a, T> {
    /// `[n, channels, pixels]`.
    pub x: &'a mut [T],
    /// `[n, channels]`.
    pub scale: &'a mut [T],
    /// `[n, channels]`.
    pub shift: &'a mut [T],
}

/// The forward pass; `y` is overwritten.
///
/// # Errors
///
/// Sizes of zero; slices of another length than the shape's.
pub fn forward<T: Float>(s: &GroupNormShape, o: &GroupNorm<'_, T>, y: &mut [T]) -> Result<()> {
    forward_on(Isa::best(), s, o, y)
}

fn forward_on<T: Float>(
    isa: Isa,
    s: &GroupNormShape,
    o: &GroupNorm<'_, T>,
    y: &mut [T],
) -> Result<()> {
    s.check_all(
        &[("x", o.x.len()), ("y", y.len())],
        &[("scale", o.scale.len()), ("shift", o.shift.len())],
    )?;
    let members = s.members();
    y.par_chunks_mut(s.group())
        .zip(o.x.par_chunks(s.group()))
        .zip(o.scale.par_chunks(members).zip(o.shift.par_chunks(members)))
        .for_each(|((y, x), (scale, shift))| {
            let group = GroupNorm { x, scale, shift };
            dispatch(isa, Forward { s, group, y });
        });
    Ok(())
}

/// The backward pass, with `gy: [n, channels, pixels]`.
///
/// # Errors
///
/// As [`forward`].
pub fn backward<T: Float>(
    s: &GroupNormShape,
    o: &GroupNorm<'_, T>,
    gy: &[T],
    grads: GroupNormGrads<'_, T>,
) -> Result<()> {
    backward_on(Isa::best(), s, o, gy, grads)
}

fn backward_on<T: Float>(
    isa: Isa,
    s: &GroupNormShape,
    o: &GroupNorm<'_, T>,
    gy: &[T],
    grads: GroupNormGrads<'_, T>,
) -> Result<()> {
    let GroupNormGrads { x, scale, shift } = grads;
    s.check_all(
        &[
            ("x", o.x.len()),
            ("gy", gy.len()),
            ("gradient of x", x.len()),
        ],
        &[
            ("scale", o.scale.len()),
            ("shift", o.shift.len()),
            ("gradient of scale", scale.len()),
            ("gradient of shift", shift.len()),
        ],
    )?;
    let (members, size) = (s.members(), s.group());
    x.par_chunks_mut(size)
        .zip(scale.par_chunks_mut(members))
        .zip(shift.par_chunks_mut(members))
        .zip(o.x.par_chunks(size).zip(gy.par_chunks(size)))
        .zip(o.scale.par_chunks(members).zip(o.shift.par_chunks(members)))
        .for_each(|((((gx, g_scale), g_shift), (x, gy)), (scale, shift))| {
            let kernel = Backward {
                s,
                group: GroupNorm { x, scale, shift },
                gy,
                grads: GroupNormGrads {
                    x: gx,
                    scale: g_scale,
                    shift: g_shift,
                },
            };
            dispatch(isa, kernel);
        });
    Ok(())
}

/// `Σ f(a, b)`: short runs in the element type, which vectorise, their sums in f64.
#[inline(always)]
fn long_sum<T: Float>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Copy) -> f64 {
    let runs = a.chunks(RUN).zip(b.chunks(RUN));
    runs.map(|(a, b)| sum(a, b, f).wide()).sum()
}

/// `μ` and `r` of a group.
#[inline(always)]
fn moments<T: Float>(x: &[T], eps: f64) -> (T, T) {
    let count = x.len() as f64;
    let mean = T::of(long_sum(x, x, |x, _| x) / count);
    let variance = long_sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
    (mean, T::of(1.0 / (variance + eps).sqrt()))
}

struct Forward<'a, T> {
    s: &'a GroupNormShape,
    /// Of one group.
    group: GroupNorm<'a, T>,
    y: &'a mut [T],
}

impl<T: Float> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let GroupNorm { x, scale, shift } = self.group;
        let (mean, r) = moments(x, self.s.eps);
        let pixels = self.s.pixels;
        let planes = self.y.chunks_exact_mut(pixels).zip(x.chunks_exact(pixels));
        for ((y, x), (&scale, &shift)) in planes.zip(scale.iter().zip(shift)) {
            let factor = r * scale;
            for (y, &x) in y.iter_mut().zip(x) {
                *y = Activation::Swish.value((x - mean) * factor + shift);
            }
        }
    }
}

struct Backward<'a, T> {
    s: &'a GroupNormShape,
    /// Of one group, as the gradients are.
    group: GroupNorm<'a, T>,
    gy: &'a [T],
    grads: GroupNormGrads<'a, T>,
}

impl<T: Float> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let GroupNorm { x, scale, shift } = self.group;
        let (mean, r) = moments(x, self.s.eps);
        let (pixels, count) = (self.s.pixels, x.len() as f64);
        let (mut level, mut along) = (0.0, 0.0);
        for (c, (gx, x)) in self
            .grads
            .x
            .chunks_exact_mut(pixels)
            .zip(x.chunks_exact(pixels))
            .enumerate()
        {
            let gy = &self.gy[c * pixels..][..pixels];
            let (factor, shift) = (r * scale[c], shift[c]);
            for ((gu, &x), &gy) in gx.iter_mut().zip(x).zip(gy) {
                *gu = gy * Activation::Swish.slope((x - mean) * factor + shift);
            }
            let g_shift = long_sum(gx, gx, |g, _| g);
            let g_scale = long_sum(gx, x, |g, x| g * (x - mean)) * r.wide();
            self.grads.shift[c] = T::of(g_shift);
            self.grads.scale[c] = T::of(g_scale);
            level += g_shift * scale[c].wide();
            along += g_scale * scale[c].wide();
        }
        let level = T::of(level / count);
        let along = T::of(along / count) * r;
        for (c, (gx, x)) in self
            .grads
            .x
            .chunks_exact_mut(pixels)
            .zip(x.chunks_exact(pixels))
            .enumerate()
        {
            let scale = scale[c];
            for (g, &x) in gx.iter_mut().zip(x) {
                *g = r * (*g * scale - level - (x - mean) * along);
            }
        }
    }
}

#[cfg(test)]
mod tests;

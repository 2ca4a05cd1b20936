//! How far apart two feature maps are at each pixel, with their channels brought to unit length.
//!
//! `û = u / (‖u‖ + ε)` over the channels of a pixel, `‖u‖ = √max(Σ u², floor)`, and
//! `y[n, p] = Σ_c w[c] (â[n, c, p] − b̂[n, c, p])²`, the distance of LPIPS (Zhang et al. 2018, arXiv 1801.03924) at one depth.
//! `a, b [n, channels, pixels]`, `w [channels]`, `y [n, pixels]`.
//!
//! A stretch of pixels of all channels is gone through twice, the second time out of the cache, and nothing is kept for the way
//! back, which does the same. With the gradient g of y, `s = 1/(‖a‖ + ε)` and `e_c = 2 g w_c (â_c − b̂_c)`:
//! `ga_c = s e_c − a_c · s² Σ_j e_j a_j / ‖a‖` (without the second term where the floor holds), and gb the same with −e.

use rayon::prelude::*;

use crate::Float;
use crate::conv::blocked::Shared;
use crate::error::{Check, Result};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Pixels of a stretch: with 512 channels and two maps 256 KiB, a quarter of a common second-level cache.
const STRETCH: usize = 64;

/// The sizes, and the two small numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitDistance {
    /// Images.
    pub n: usize,
    /// Channels.
    pub channels: usize,
    /// Pixels of a plane.
    pub pixels: usize,
    /// Added to the length.
    pub eps: f64,
    /// The least squared length.
    pub floor: f64,
}

impl UnitDistance {
    /// Refuses sizes of zero and overflow.
    ///
    /// # Errors
    ///
    /// The field at fault.
    pub fn check(&self) -> Result<()> {
        let check = self.checker();
        check.non_zero(&[
            ("n", self.n),
            ("channels", self.channels),
            ("pixels", self.pixels),
        ])?;
        check
            .count("a", &[self.n, self.channels, self.pixels])
            .map(|_| ())
    }

    fn checker(&self) -> Check<'_> {
        Check {
            operator: "distance of unit vectors",
            shape: self,
        }
    }

    fn check_all(
        &self,
        maps: &[(&'static str, usize)],
        w: Option<usize>,
        y: (&'static str, usize),
    ) -> Result<()> {
        self.check()?;
        let check = self.checker();
        for &(name, found) in maps {
            check.length(name, found, self.n * self.channels * self.pixels)?;
        }
        w.map_or(Ok(()), |w| check.length("w", w, self.channels))?;
        check.length(y.0, y.1, self.n * self.pixels)
    }

    fn stretches(&self) -> usize {
        self.pixels.div_ceil(STRETCH)
    }

    /// The image, the first pixel and the pixels of a stretch.
    fn stretch(&self, index: usize) -> (usize, usize, usize) {
        let (image, first) = (index / self.stretches(), index % self.stretches() * STRETCH);
        (image, first, STRETCH.min(self.pixels - first))
    }

    /// Channel `c` of the stretch whose first channel begins at `at`.
    #[inline(always)]
    fn channel<'a, T>(&self, x: &'a [T], at: usize, len: usize, c: usize) -> &'a [T] {
        &x[at + c * self.pixels..][..len]
    }
}

/// The distances; `y` is overwritten. Without `w` all channels weigh 1.
///
/// # Errors
///
/// What [`UnitDistance::check`] refuses; slices of another length than the shape's.
pub fn forward<T: Float>(
    s: &UnitDistance,
    a: &[T],
    b: &[T],
    w: Option<&[T]>,
    y: &mut [T],
) -> Result<()> {
    forward_on(Isa::best(), s, a, b, w, y)
}

fn forward_on<T: Float>(
    isa: Isa,
    s: &UnitDistance,
    a: &[T],
    b: &[T],
    w: Option<&[T]>,
    y: &mut [T],
) -> Result<()> {
    s.check_all(
        &[("a", a.len()), ("b", b.len())],
        w.map(<[T]>::len),
        ("y", y.len()),
    )?;
    let to = Shared::new(y);
    (0..s.n * s.stretches()).into_par_iter().for_each(|index| {
        dispatch(
            isa,
            Forward {
                s,
                a,
                b,
                w,
                to,
                index,
            },
        );
    });
    Ok(())
}

/// The gradients of the maps from that of y; those given are overwritten.
///
/// # Errors
///
/// As [`forward`].
pub fn backward<T: Float>(
    s: &UnitDistance,
    [a, b]: [&[T]; 2],
    w: Option<&[T]>,
    gy: &[T],
    grads: [Option<&mut [T]>; 2],
) -> Result<()> {
    backward_on(Isa::best(), s, [a, b], w, gy, grads)
}

fn backward_on<T: Float>(
    isa: Isa,
    s: &UnitDistance,
    [a, b]: [&[T]; 2],
    w: Option<&[T]>,
    gy: &[T],
    [ga, gb]: [Option<&mut [T]>; 2],
) -> Result<()> {
    let given = |g: &Option<&mut [T]>| g.as_ref().map_or(a.len(), |g| g.len());
    s.check_all(
        &[
            ("a", a.len()),
            ("b", b.len()),
            ("ga", given(&ga)),
            ("gb", given(&gb)),
        ],
        w.map(<[T]>::len),
        ("gy", gy.len()),
    )?;
    let to = [ga.map(Shared::new), gb.map(Shared::new)];
    (0..s.n * s.stretches()).into_par_iter().for_each(|index| {
        dispatch(
            isa,
            Backward {
                s,
                a,
                b,
                w,
                gy,
                to,
                index,
            },
        );
    });
    Ok(())
}

/// Lengths of the channel vectors of a stretch of pixels.
struct Lengths<T> {
    /// `1 / (‖u‖ + ε)`.
    scale: [T; STRETCH],
    /// `1 / ‖u‖`, zero where the floor holds.
    inverse: [T; STRETCH],
}

impl<T: Float> Lengths<T> {
    #[inline(always)]
    fn of(s: &UnitDistance, x: &[T], at: usize, len: usize) -> Self {
        let mut squares = [T::zero(); STRETCH];
        for c in 0..s.channels {
            let x = s.channel(x, at, len, c);
            for (square, &x) in squares.iter_mut().zip(x) {
                *square += x * x;
            }
        }
        let (eps, floor) = (T::of(s.eps), T::of(s.floor));
        let (mut scale, mut inverse) = ([T::zero(); STRETCH], [T::zero(); STRETCH]);
        for i in 0..STRETCH {
            let low = squares[i] < floor;
            let length = if low { floor } else { squares[i] }.sqrt();
            scale[i] = T::one() / (length + eps);
            inverse[i] = if low { T::zero() } else { T::one() / length };
        }
        Self { scale, inverse }
    }
}

struct Forward<'a, T> {
    s: &'a UnitDistance,
    a: &'a [T],
    b: &'a [T],
    w: Option<&'a [T]>,
    to: Shared<T>,
    index: usize,
}

impl<T: Float> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let s = self.s;
        let (image, first, len) = s.stretch(self.index);
        let at = image * s.channels * s.pixels + first;
        let [la, lb] = [self.a, self.b].map(|x| Lengths::of(s, x, at, len));
        let mut sums = [T::zero(); STRETCH];
        for c in 0..s.channels {
            let w = self.w.map_or(T::one(), |w| w[c]);
            let [a, b] = [self.a, self.b].map(|x| s.channel(x, at, len, c));
            for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
                let e = a * la.scale[i] - b * lb.scale[i];
                sums[i] += w * e * e;
            }
        }
        // SAFETY: `forward_on` holds y for writing; no other task has these pixels of this image.
        let y = unsafe { self.to.span(image * s.pixels + first, len) };
        y.copy_from_slice(&sums[..len]);
    }
}

struct Backward<'a, T> {
    s: &'a UnitDistance,
    a: &'a [T],
    b: &'a [T],
    w: Option<&'a [T]>,
    gy: &'a [T],
    to: [Option<Shared<T>>; 2],
    index: usize,
}

impl<T: Float> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let s = self.s;
        let (image, first, len) = s.stretch(self.index);
        let at = image * s.channels * s.pixels + first;
        let lengths = [self.a, self.b].map(|x| Lengths::of(s, x, at, len));
        let gy = &self.gy[image * s.pixels + first..][..len];
        let two = T::one() + T::one();
        // e of one channel; for b its negative.
        let slope = |c: usize, e: &mut [T; STRETCH]| {
            let w = two * self.w.map_or(T::one(), |w| w[c]);
            let [a, b] = [self.a, self.b].map(|x| s.channel(x, at, len, c));
            for (i, ((&a, &b), &g)) in a.iter().zip(b).zip(gy).enumerate() {
                e[i] = w * g * (a * lengths[0].scale[i] - b * lengths[1].scale[i]);
            }
        };
        let mut e = [T::zero(); STRETCH];
        let mut along = [[T::zero(); STRETCH]; 2];
        for c in 0..s.channels {
            slope(c, &mut e);
            for (x, along) in [self.a, self.b].into_iter().zip(&mut along) {
                let x = s.channel(x, at, len, c);
                for (i, &x) in x.iter().enumerate() {
                    along[i] += e[i] * x;
                }
            }
        }
        for (along, l) in along.iter_mut().zip(&lengths) {
            for i in 0..STRETCH {
                along[i] *= l.scale[i] * l.scale[i] * l.inverse[i];
            }
        }
        for c in 0..s.channels {
            slope(c, &mut e);
            let signs = [T::one(), -T::one()];
            for side in 0..2 {
                let Some(to) = self.to[side] else { continue };
                let x = s.channel([self.a, self.b][side], at, len, c);
                let (l, along, sign) = (&lengths[side], &along[side], signs[side]);
                // SAFETY: `backward_on` holds the gradients for writing; no other task has these pixels of this image.
                let g = unsafe { to.span(at + c * s.pixels, len) };
                for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
                    *g = sign * (l.scale[i] * e[i] - x * along[i]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

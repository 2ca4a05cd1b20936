//! The low-pass filter after a transposed convolution and the epilogue, in one pass.
//!
//! A few lines are filtered and brought through the epilogue while the second-level cache holds them, so what lies between
//! is neither written to memory nor read again.

use rayon::prelude::*;

use super::{Check, Epilogue, EpilogueShape, OPERATOR, clamped};
use crate::Float;
use crate::activation::{Curve, with_curve};
use crate::error::Result;
use crate::simd::{Isa, Kernel, Simd, dispatch};
use crate::upfirdn::{UpFirDnShape, factors, separable_then, upfirdn2d};

/// The taps of a filter.
#[derive(Debug, Clone, Copy)]
pub enum Taps<'a, T> {
    /// `[fh, fw]`.
    Full(&'a [T]),
    /// Along x, along y.
    Separable([&'a [T]; 2]),
}

/// `y` from `x`: [`upfirdn2d`] as `f` says, whose result the epilogue `e` takes; y is overwritten.
///
/// # Errors
///
/// What both refuse, and an epilogue of planes of another size than the filter makes.
pub fn forward_filtered<T: Float>(
    f: &UpFirDnShape,
    taps: Taps<'_, T>,
    s: &EpilogueShape,
    e: &Epilogue<'_, T>,
    x: &[T],
    y: &mut [T],
) -> Result<()> {
    forward_filtered_on(Isa::best(), f, taps, s, e, x, y)
}

fn forward_filtered_on<T: Float>(
    isa: Isa,
    f: &UpFirDnShape,
    taps: Taps<'_, T>,
    s: &EpilogueShape,
    e: &Epilogue<'_, T>,
    x: &[T],
    y: &mut [T],
) -> Result<()> {
    f.check()?;
    s.check_all(e, &[("y", y.len())])?;
    let check = Check {
        operator: OPERATOR,
        shape: s,
    };
    let (width, pixels) = (f.out_w(), f.out_h() * f.out_w());
    check.length("filtered plane", pixels, s.pixels)?;
    let finish = |first: usize, y: &mut [T]| {
        let lines = InPlace {
            s,
            e,
            width,
            first,
            y,
        };
        dispatch(isa, lines);
    };
    match taps {
        Taps::Separable(taps) => separable_then(isa, f, taps, x, y, finish),
        Taps::Full(taps) => {
            f.check_slices([taps.len(), f.fh * f.fw], x.len(), y.len())?;
            if let Some((fx, fy)) = factors(f, taps) {
                return separable_then(isa, f, [&fx, &fy], x, y, finish);
            }
            upfirdn2d(f, taps, x, y)?;
            let lines = y.par_chunks_mut(width).enumerate();
            lines.for_each(|(first, y)| finish(first, y));
            Ok(())
        }
    }
}

/// Lines of `width` pixels, the number of the first counted over all planes.
struct InPlace<'a, T> {
    s: &'a EpilogueShape,
    e: &'a Epilogue<'a, T>,
    width: usize,
    first: usize,
    y: &'a mut [T],
}

impl<T: Float> Kernel for InPlace<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        with_curve!(self.e.act, T, |curve| self.loops(curve));
    }
}

impl<T: Float> InPlace<'_, T> {
    #[inline(always)]
    fn loops<C: Curve<T>>(self, curve: C) {
        let (gain, limit) = (T::of(self.e.gain), self.e.limit());
        for (index, y) in self.y.chunks_exact_mut(self.width).enumerate() {
            let start = (self.first + index) * self.width;
            let (scale, noise, bias) = self.e.plane(self.s, start / self.s.pixels);
            match noise {
                Some(noise) => {
                    let noise = &noise[start % self.s.pixels..][..self.width];
                    for (y, &noise) in y.iter_mut().zip(noise) {
                        *y = clamped(gain * curve.value(*y * scale + (noise + bias)), limit);
                    }
                }
                None => {
                    for y in y {
                        *y = clamped(gain * curve.value(*y * scale + bias), limit);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;
    use crate::epilogue::forward;
    use crate::testing::{assert_close, noise};

    /// To the last bit on the same instruction set: both do the same to each number.
    #[test]
    fn agrees_with_one_after_the_other() {
        for (n, channels, h, w) in [(1, 1, 1, 1), (2, 3, 5, 7), (1, 2, 33, 64), (3, 1, 200, 130)] {
            let f = UpFirDnShape {
                planes: n * channels,
                h,
                w,
                fh: 4,
                fw: 4,
                up: [1; 2],
                down: [1; 2],
                padding: [2, 2, 2, 1],
                flip: false,
                gain: 4.0,
            };
            let pixels = f.out_h() * f.out_w();
            let s = EpilogueShape {
                n,
                channels,
                pixels,
            };
            let x = noise::<f32>(n * channels * h * w, 1);
            let (row, scale) = (noise::<f32>(4, 2), noise::<f32>(n * channels, 3));
            let (field, bias) = (noise::<f32>(n * pixels, 4), noise::<f32>(channels, 5));
            let outer: Vec<f32> = row
                .iter()
                .flat_map(|a| row.iter().map(move |b| a * b))
                .collect();
            let (mut full, mut between) = (noise::<f32>(16, 6), vec![0.0; n * channels * pixels]);
            full[0] += 3.0;
            for noise in [None, Some(&field[..]), Some(&field[..pixels])] {
                let e = Epilogue {
                    scale: Some(&scale),
                    noise,
                    bias: Some(&bias),
                    act: Activation::Lrelu { alpha: 0.2 },
                    gain: 1.4,
                    clamp: Some(1.0),
                };
                for (taps, whole) in [
                    (Taps::Separable([&row, &row]), &outer),
                    (Taps::Full(&outer), &outer),
                    (Taps::Full(&full), &full),
                ] {
                    match taps {
                        Taps::Separable([fx, fy]) => {
                            crate::upfirdn::upfirdn2d_separable(&f, fx, fy, &x, &mut between)
                        }
                        Taps::Full(_) => upfirdn2d(&f, whole, &x, &mut between),
                    }
                    .unwrap();
                    let (mut want, mut got) = (between.clone(), vec![f32::NAN; between.len()]);
                    forward(&s, &e, &between, &mut want).unwrap();
                    forward_filtered(&f, taps, &s, &e, &x, &mut got).unwrap();
                    assert_eq!(got, want, "{n} {channels} {h} {w}");
                    for isa in Isa::available() {
                        got.fill(f32::NAN);
                        forward_filtered_on(isa, &f, taps, &s, &e, &x, &mut got).unwrap();
                        assert_close(&got, &want, 1e-5);
                    }
                }
            }
            let other = EpilogueShape {
                n: n * pixels,
                channels,
                pixels: 1,
            };
            let e = Epilogue::default();
            let taps = Taps::Separable([&row, &row]);
            let refused = forward_filtered(&f, taps, &other, &e, &x, &mut between);
            assert_eq!(refused.is_err(), pixels > 1);
            assert!(forward_filtered(&f, taps, &s, &e, &x[1..], &mut between).is_err());
            let taps = Taps::Full(&outer[1..]);
            assert!(forward_filtered(&f, taps, &s, &e, &x, &mut between).is_err());
            let vast = UpFirDnShape {
                h: usize::MAX / 2,
                ..f
            };
            assert!(forward_filtered(&vast, taps, &s, &e, &x, &mut between).is_err());
        }
    }
}

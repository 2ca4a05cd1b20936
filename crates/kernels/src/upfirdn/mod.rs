//! Up-sample by zero-stuffing, pad, filter, down-sample: the resampling step of StyleGAN2.
//!
//! With `u` the image in which each pixel is followed by `up − 1` zeros, padded by `padding` (negative: cropped),
//! `y[i, j] = gain · Σ_{a, b} g[a, b] · u[i·down_y + a, j·down_x + b]`, where g is the filter turned by 180° (a
//! convolution), or the filter itself when `flip` is set (a correlation).
//! Follows the definition of `upfirdn2d` in stylegan3 `torch_utils/ops/upfirdn2d.py`. Planes are independent:
//! `x [planes, h, w]`, `y [planes, out_h, out_w]`.

mod full;
mod horizontal;
mod separable;

use crate::Float;
use crate::error::{Check, Result};
use crate::simd::Isa;

/// Sizes and factors of one resampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpFirDnShape {
    /// Images times channels.
    pub planes: usize,
    /// Height of the input.
    pub h: usize,
    /// Width of the input.
    pub w: usize,
    /// Height of the filter.
    pub fh: usize,
    /// Width of the filter.
    pub fw: usize,
    /// Up-sampling factors `[x, y]`.
    pub up: [usize; 2],
    /// Down-sampling factors `[x, y]`.
    pub down: [usize; 2],
    /// Pixels added to the up-sampled image `[left, right, top, bottom]`; negative ones are cut away.
    pub padding: [i64; 4],
    /// Correlate instead of convolve.
    pub flip: bool,
    /// Factor of the result.
    pub gain: f64,
}

/// The output size of one axis, None where the filter does not fit or a number overflows.
fn out(
    size: usize,
    filter: usize,
    up: usize,
    down: usize,
    before: i64,
    after: i64,
) -> Option<usize> {
    let size = i64::try_from(size.checked_mul(up)?).ok()?;
    let padded = size.checked_add(before)?.checked_add(after)?;
    let room = usize::try_from(padded).ok()?.checked_sub(filter)?;
    Some(room.checked_div(down)? + 1)
}

impl UpFirDnShape {
    /// Height of the output; zero where the filter does not fit.
    #[must_use]
    pub fn out_h(&self) -> usize {
        out(
            self.h,
            self.fh,
            self.up[1],
            self.down[1],
            self.padding[2],
            self.padding[3],
        )
        .unwrap_or(0)
    }

    /// Width of the output; zero where the filter does not fit.
    #[must_use]
    pub fn out_w(&self) -> usize {
        out(
            self.w,
            self.fw,
            self.up[0],
            self.down[0],
            self.padding[0],
            self.padding[1],
        )
        .unwrap_or(0)
    }

    /// The resampling that takes the gradient of the output to the gradient of the input, with the same filter.
    /// Call it on a shape that [`UpFirDnShape::check`] accepts.
    #[must_use]
    pub fn adjoint(&self) -> Self {
        let axis = |size: usize, out: usize, filter: usize, up: usize, down: usize, before: i64| {
            let first = filter as i64 - before - 1;
            let last = (size * up) as i64 - (out * down) as i64 + before - up as i64 + 1;
            [first, last]
        };
        let (oh, ow) = (self.out_h(), self.out_w());
        let x = axis(
            self.w,
            ow,
            self.fw,
            self.up[0],
            self.down[0],
            self.padding[0],
        );
        let y = axis(
            self.h,
            oh,
            self.fh,
            self.up[1],
            self.down[1],
            self.padding[2],
        );
        Self {
            h: oh,
            w: ow,
            up: self.down,
            down: self.up,
            padding: [x[0], x[1], y[0], y[1]],
            flip: !self.flip,
            ..*self
        }
    }

    /// Refuses sizes that cannot be worked on.
    ///
    /// # Errors
    ///
    /// A size or factor of zero; an overflow; a filter larger than the padded image.
    pub fn check(&self) -> Result<()> {
        let check = Check {
            operator: "upfirdn2d",
            shape: self,
        };
        check.non_zero(&[
            ("planes", self.planes),
            ("h", self.h),
            ("w", self.w),
            ("fh", self.fh),
            ("fw", self.fw),
            ("up[0]", self.up[0]),
            ("up[1]", self.up[1]),
            ("down[0]", self.down[0]),
            ("down[1]", self.down[1]),
        ])?;
        // Positions are computed in i64; a quarter of its range leaves room for their sums.
        let far = i64::MAX / 4;
        if self.padding.iter().any(|p| !(-far..=far).contains(p)) {
            return Err(check.overflow("padding"));
        }
        let h = check.count(
            "up-sampled x",
            &[self.planes, self.h, self.up[1], self.w, self.up[0]],
        );
        h?;
        check.count("filter", &[self.fh, self.fw])?;
        let (oh, ow) = (self.out_h(), self.out_w());
        if oh == 0 || ow == 0 {
            return Err(check.window());
        }
        check.count("y", &[self.planes, oh, self.down[1], ow, self.down[0]])?;
        check.count("rows in between", &[self.planes, oh, self.w])?;
        Ok(())
    }

    pub(crate) fn check_slices(&self, filter: [usize; 2], x: usize, y: usize) -> Result<()> {
        self.check()?;
        let check = Check {
            operator: "upfirdn2d",
            shape: self,
        };
        check.length("filter", filter[0], filter[1])?;
        check.length("x", x, self.planes * self.h * self.w)?;
        check.length("y", y, self.planes * self.out_h() * self.out_w())
    }
}

/// One axis of the resampling: which taps meet a pixel, and which.
struct Axis {
    size: usize,
    up: usize,
    down: usize,
    before: i64,
    taps: usize,
}

impl Axis {
    /// Calls `visit(tap, pixel)` for the taps that meet a pixel of the input at output position `i`; tap counts along
    /// the correlation.
    fn visit(&self, i: usize, mut visit: impl FnMut(usize, usize)) {
        let start = (i * self.down) as i64 - self.before;
        let up = self.up as i64;
        // The first tap that lies on a pixel and not before the image.
        let skip = if start < 0 {
            -start
        } else {
            (up - start % up) % up
        };
        let mut tap = skip;
        while tap < self.taps as i64 {
            let pixel = ((start + tap) / up) as usize;
            if pixel >= self.size {
                break;
            }
            visit(tap as usize, pixel);
            tap += up;
        }
    }
}

/// `y = upfirdn(x)` with `filter [fh, fw]`; y is overwritten. A filter that is an outer product, as the networks' are,
/// takes the path of [`upfirdn2d_separable`].
///
/// # Errors
///
/// What [`UpFirDnShape::check`] refuses; slices of another length than the shape's.
pub fn upfirdn2d<T: Float>(s: &UpFirDnShape, filter: &[T], x: &[T], y: &mut [T]) -> Result<()> {
    s.check_slices([filter.len(), s.fh * s.fw], x.len(), y.len())?;
    if let Some((fx, fy)) = factors(s, filter) {
        separable::run(Isa::best(), s, [&fx, &fy], x, y, |_, _| ());
        return Ok(());
    }
    let gain = T::of(s.gain);
    let mut taps: Vec<T> = filter.iter().map(|&f| f * gain).collect();
    if !s.flip {
        taps.reverse();
    }
    full::run(Isa::best(), s, &taps, x, y);
    Ok(())
}

/// `y = upfirdn(x)` with the filter `fy fxᵀ`, given as its factors `fy [fh]` and `fx [fw]`; y is overwritten.
///
/// # Errors
///
/// What [`UpFirDnShape::check`] refuses; slices of another length than the shape's.
pub fn upfirdn2d_separable<T: Float>(
    s: &UpFirDnShape,
    fx: &[T],
    fy: &[T],
    x: &[T],
    y: &mut [T],
) -> Result<()> {
    separable_then(Isa::best(), s, [fx, fy], x, y, |_, _| ())
}

/// The same, and `then` with each few lines of `y` and the number of the first, counted over all planes, as soon as they are there.
pub(crate) fn separable_then<T: Float>(
    isa: Isa,
    s: &UpFirDnShape,
    [fx, fy]: [&[T]; 2],
    x: &[T],
    y: &mut [T],
    then: impl Fn(usize, &mut [T]) + Sync,
) -> Result<()> {
    s.check_slices([fx.len(), s.fw], x.len(), y.len())?;
    Check {
        operator: "upfirdn2d",
        shape: s,
    }
    .length("fy", fy.len(), s.fh)?;
    separable::run(isa, s, [fx, fy], x, y, then);
    Ok(())
}

/// The factors `fx`, `fy` of a filter that is their outer product, to the last digits of its type.
pub(crate) fn factors<T: Float>(s: &UpFirDnShape, filter: &[T]) -> Option<(Vec<T>, Vec<T>)> {
    let size = |i: &usize| filter[*i].abs();
    let most = (0..filter.len()).max_by(|i, j| size(i).wide().total_cmp(&size(j).wide()))?;
    let largest = filter[most];
    if largest == T::zero() || !largest.is_finite() {
        return None;
    }
    let (row, column) = (most / s.fw, most % s.fw);
    let fx = filter[row * s.fw..][..s.fw].to_vec();
    let fy: Vec<T> = (0..s.fh)
        .map(|a| filter[a * s.fw + column] / largest)
        .collect();
    let tolerance = T::of(4.0) * T::epsilon() * largest.abs();
    let product =
        (0..filter.len()).all(|i| (filter[i] - fy[i / s.fw] * fx[i % s.fw]).abs() <= tolerance);
    product.then_some((fx, fy))
}

fn axes(s: &UpFirDnShape) -> (Axis, Axis) {
    let [ux, uy] = s.up;
    let [dx, dy] = s.down;
    let vertical = Axis {
        size: s.h,
        up: uy,
        down: dy,
        before: s.padding[2],
        taps: s.fh,
    };
    let horizontal = Axis {
        size: s.w,
        up: ux,
        down: dx,
        before: s.padding[0],
        taps: s.fw,
    };
    (vertical, horizontal)
}

#[cfg(test)]
mod tests;

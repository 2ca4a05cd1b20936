//! Two-dimensional convolution (correlation, as the networks mean it) and its two gradients.
//!
//! `y[n, o, i, j] = Σ_{c, a, b} w[o, c, a, b] · x[n, c, i·stride + a − padding, j·stride + b − padding]`,
//! with x zero outside. The gradient of the input is also the transposed convolution.
//! Shapes: `x [n, c_in, h, w]`, `w [c_out, c_in, kh, kw]`, `y [n, c_out, out_h, out_w]`, all contiguous.

pub(crate) mod blocked;
mod direct;
mod flat;
pub(crate) mod pack;
mod packed;
mod pointwise;
pub(crate) mod tile;
mod unfold;
mod weight;
mod winograd;

pub use self::packed::{Direction, PackedWeights};

use self::packed::Gather;
use crate::Float;
use crate::error::{Check, Result};
use crate::float::{as_f32, as_f32_mut};
use crate::simd::{self, Isa};

/// Columns of one row of output at most: 16 GiB of f32, which no network comes near; the unfolded path buffers a row.
const MOST_COLUMNS: usize = 1 << 32;

/// Elements that are nothing to worry about, whatever the operands' own: 16 MiB of f32.
const SMALL: f64 = (1 << 22) as f64;

/// The largest stride of the blocked forms, which work on each of its square of phases; networks have 32 at most.
const MOST_STRIDE: usize = 64;

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images.
    pub n: usize,
    /// Channels of the input.
    pub c_in: usize,
    /// Height of the input.
    pub h: usize,
    /// Width of the input.
    pub w: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Height of the kernel.
    pub kh: usize,
    /// Width of the kernel.
    pub kw: usize,
    /// Step of the window, in both directions.
    pub stride: usize,
    /// Zeros around the input, on every side.
    pub padding: usize,
}

impl ConvShape {
    /// Height of the output. Zero where the window does not fit; [`ConvShape::check`] refuses that.
    #[must_use]
    pub fn out_h(&self) -> usize {
        out(self.h, self.kh, self.stride, self.padding).unwrap_or(0)
    }

    /// Width of the output. Zero where the window does not fit.
    #[must_use]
    pub fn out_w(&self) -> usize {
        out(self.w, self.kw, self.stride, self.padding).unwrap_or(0)
    }

    /// Elements of the input.
    #[must_use]
    pub fn x_len(&self) -> usize {
        self.n * self.c_in * self.h * self.w
    }

    /// Elements of the weight.
    #[must_use]
    pub fn w_len(&self) -> usize {
        self.c_out * self.c_in * self.kh * self.kw
    }

    /// Elements of the output.
    #[must_use]
    pub fn y_len(&self) -> usize {
        self.n * self.c_out * self.out_h() * self.out_w()
    }

    /// Refuses sizes that no convolution can have.
    ///
    /// # Errors
    ///
    /// A size of zero; an element count that overflows; a window larger than the padded input.
    pub fn check(&self) -> Result<()> {
        let check = self.checker("convolution");
        check.non_zero(&[
            ("n", self.n),
            ("c_in", self.c_in),
            ("h", self.h),
            ("w", self.w),
            ("c_out", self.c_out),
            ("kh", self.kh),
            ("kw", self.kw),
            ("stride", self.stride),
        ])?;
        // Twice the padding and once the size must be a size, too.
        let padded = |size: usize| {
            self.padding
                .checked_mul(2)
                .and_then(|p| p.checked_add(size))
                .filter(|&s| s <= isize::MAX as usize)
        };
        let (h, w) = (padded(self.h), padded(self.w));
        let (Some(h), Some(w)) = (h, w) else {
            return Err(check.overflow("padded x"));
        };
        if self.kh > h || self.kw > w {
            return Err(check.window());
        }
        let (oh, ow) = (self.out_h(), self.out_w());
        check.count("x", &[self.n, self.c_in, self.h, self.w])?;
        check.count("w", &[self.c_out, self.c_in, self.kh, self.kw])?;
        check.count("y", &[self.n, self.c_out, oh, ow])?;
        // What the kernels themselves may need: the padded input, one column per output of a row.
        check.count("padded x", &[self.n, self.c_in, h, w])?;
        let columns = check.count("columns of one row", &[self.c_in, self.kh, self.kw, ow])?;
        if columns > MOST_COLUMNS {
            return Err(check.overflow("columns of one row"));
        }
        Ok(())
    }

    /// Whether a blocked copy of the padded input or output gradient is of the order of the operands themselves. Else, with a
    /// padding or stride far beyond the kernel's size, a copy could be any number of times larger than what the
    /// caller holds; such shapes take the unfolded path, which copies rows.
    fn compact(&self) -> bool {
        let channels = self.c_in.max(self.c_out).next_multiple_of(simd::LANES) as f64;
        let side = |size: usize, kernel: usize| (size + 2 * self.padding + 2 * kernel) as f64;
        let padded = self.n as f64 * channels * side(self.h, self.kh) * side(self.w, self.kw);
        let held = (self.x_len() + self.w_len() + self.y_len()) as f64;
        padded <= 64.0 * held + SMALL && self.stride <= MOST_STRIDE
    }

    fn checker<'a>(&'a self, operator: &'static str) -> Check<'a> {
        Check {
            operator,
            shape: self,
        }
    }

    fn check_slices(&self, operator: &'static str, x: usize, w: usize, y: usize) -> Result<()> {
        self.check()?;
        let check = self.checker(operator);
        check.length("x", x, self.x_len())?;
        check.length("w", w, self.w_len())?;
        check.length("y", y, self.y_len())
    }
}

fn out(size: usize, kernel: usize, stride: usize, padding: usize) -> Option<usize> {
    let room = padding
        .checked_mul(2)?
        .checked_add(size)?
        .checked_sub(kernel)?;
    Some(room.checked_div(stride)? + 1)
}

/// `y = x * w`; y is overwritten.
///
/// # Errors
///
/// What [`ConvShape::check`] refuses; slices of another length than the shape's.
pub fn forward<T: Float>(s: &ConvShape, x: &[T], w: &[T], y: &mut [T]) -> Result<()> {
    s.check_slices("convolution", x.len(), w.len(), y.len())?;
    match (as_f32(x), as_f32(w), as_f32_mut(y)) {
        (Some(x), Some(w), Some(y)) if flat::pays(s) => flat::forward(s, x, w, y),
        (Some(x), Some(w), Some(y)) if s.compact() && !unfold::pays(s) => {
            Gather::forward(s, winograd::best(s, false), Isa::best()).pack_and_run(x, w, y);
        }
        _ => unfold::forward(s, x, w, y),
    }
    Ok(())
}

/// The gradient of the input from the gradient of the output: the transposed convolution of `gy` with `w`.
/// `gx` is overwritten.
///
/// # Errors
///
/// What [`ConvShape::check`] refuses; slices of another length than the shape's.
pub fn grad_input<T: Float>(s: &ConvShape, w: &[T], gy: &[T], gx: &mut [T]) -> Result<()> {
    s.check_slices(
        "gradient of a convolution's input",
        gx.len(),
        w.len(),
        gy.len(),
    )?;
    match (as_f32(w), as_f32(gy), as_f32_mut(gx)) {
        (Some(w), Some(gy), Some(gx)) if s.compact() && !unfold::pays_for_input(s) => {
            Gather::grad_input(s, winograd::best(s, false), Isa::best()).pack_and_run(gy, w, gx);
        }
        _ => unfold::grad_input(s, w, gy, gx),
    }
    Ok(())
}

/// The gradient of the weight from the input and the gradient of the output. `gw` is overwritten.
///
/// # Errors
///
/// What [`ConvShape::check`] refuses; slices of another length than the shape's.
pub fn grad_weight<T: Float>(s: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) -> Result<()> {
    s.check_slices(
        "gradient of a convolution's weight",
        x.len(),
        gw.len(),
        gy.len(),
    )?;
    match (as_f32(x), as_f32(gy), as_f32_mut(gw)) {
        (Some(x), Some(gy), Some(gw)) if flat::pays(s) => flat::grad_weight(s, x, gy, gw),
        (Some(x), Some(gy), Some(gw)) if unfold::trivial(s) && pointwise::pays(s) => {
            pointwise::grad_weight(s, Isa::best(), x, gy, gw);
        }
        (Some(x), Some(gy), Some(gw)) if s.compact() => match winograd::best(s, false) {
            Some(tile) => winograd::grad_weight(s, tile, Isa::best(), x, gy, gw),
            None if unfold::pays_for_weight(s) => unfold::grad_weight(s, x, gy, gw),
            None => weight::grad_weight(s, Isa::best(), x, gy, gw),
        },
        _ => unfold::grad_weight(s, x, gy, gw),
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Resizing of images, differentiable, on tensors `[n, c, h, w]`.
//!
//! Every kind is linear and separable: each axis has a table of weights, applied along H, then along
//! W. With `scale = input size / output size` along an axis and `o` an output position:
//!
//! | [`Resize`] | input position and weights | source |
//! | --- | --- | --- |
//! | `Nearest` | `floor(o · scale)`, in f32 | PyTorch `interpolate(mode="nearest")` |
//! | `Area` | mean of `floor(o · scale) .. ceil((o + 1) · scale)` | PyTorch `interpolate(mode="area")` |
//! | `Bilinear` | `x = max((o + ½) · scale − ½, 0)`, two taps | PyTorch `interpolate(mode="bilinear", align_corners=False)` |
//! | `BilinearTf1` | `x = o · scale`, two taps | TensorFlow 1 `resize_bilinear`, which the FID network was measured with |
//! | `BilinearAntialias` | centre `(o + ½) · scale`, a triangle stretched by `max(scale, 1)`, weights normalised | PyTorch `interpolate(mode="bilinear", antialias=True)` |
//! | `Bicubic { antialias: false }` | `x = (o + ½) · scale − ½`, four taps, Keys' cubic with a = −0.75 | PyTorch `interpolate(mode="bicubic")` |
//! | `Bicubic { antialias: true }` | centre `(o + ½) · scale`, cubic with a = −0.5 stretched by `max(scale, 1)`, weights normalised | PyTorch `interpolate(mode="bicubic", antialias=True)`; torchvision `Resize` for tensors |
//!
//! Taps that fall outside are moved to the edge, except with antialiasing, which drops them. The
//! backward is the transposed table; the operator being linear, every higher order is exact too.
//!
//! The cubic is Keys, "Cubic convolution interpolation for digital image processing" (1981):
//! `(a+2)|t|³ − (a+3)|t|² + 1` for `|t| ≤ 1`, `a|t|³ − 5a|t|² + 8a|t| − 4a` for `|t| < 2`.

use candle_core::{DType, Tensor};

use crate::{Error, Result, check};

pub(crate) mod separable;
mod tables;

use separable::Separable;

const OP: &str = "resize";

/// The kinds of resizing. The [module docs](self) say what each computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resize {
    /// The nearest input, towards zero.
    Nearest,
    /// The mean of the inputs that an output covers.
    Area,
    /// Two taps per axis, pixel centres at half-integers.
    Bilinear,
    /// Two taps per axis, pixel centres at integers: TensorFlow 1.
    BilinearTf1,
    /// As many taps per axis as an output covers, and two where the image grows.
    BilinearAntialias,
    /// Four taps per axis.
    Bicubic {
        /// Whether the kernel widens when the image shrinks.
        antialias: bool,
    },
}

/// Resizes `x: [n, c, h_in, w_in]` to `[n, c, h, w]`.
///
/// # Errors
///
/// [`Error::Shape`] when `x` is not of rank 4 or has an empty dimension or the output would not fit
/// into memory, [`Error::Parameter`] when `h` or `w` is 0, [`Error::DType`] for integers.
pub fn resize(x: &Tensor, h: usize, w: usize, kind: Resize) -> Result<Tensor> {
    let plan = plan(x, h, w, kind)?;
    if x.dims()[2..] == [h, w] {
        return Ok(x.clone()); // the identity, for every kind
    }
    plan.apply(OP, x)
}

/// The weight tables from `x`'s size to `[h, w]`.
fn plan(x: &Tensor, h: usize, w: usize, kind: Resize) -> Result<Separable> {
    check::float(OP, "x", x)?;
    let (n, c, h_in, w_in) = check::dims4(OP, "x", x, "[n, c, h, w]")?;
    for (name, size) in [("h", h), ("w", w)] {
        if size == 0 {
            return Err(Error::parameter(OP, name, size, "a size of at least 1"));
        }
    }
    check::elements(OP, &[n, c, h, w], x.dtype())?;
    let single = x.dtype() != DType::F64;
    Ok(Separable::new(
        tables::table(kind, h_in, h, single),
        tables::table(kind, w_in, w, single),
    ))
}

/// Resizes `x: [n, c, h, w]` so that its shorter edge is `size` and its longer one
/// `⌊size · long / short⌋`, as torchvision's `Resize(size)`. `x` itself when nothing changes.
///
/// # Errors
///
/// As [`resize`].
pub fn resize_shorter_side(x: &Tensor, size: usize, kind: Resize) -> Result<Tensor> {
    const OP: &str = "resize_shorter_side";
    let (_, _, h, w) = check::dims4(OP, "x", x, "[n, c, h, w]")?;
    let long = size
        .checked_mul(h.max(w))
        .map(|product| product / h.min(w))
        .ok_or_else(|| Error::parameter(OP, "size", size, "a size that fits into memory"))?;
    if w <= h {
        resize(x, long, size, kind)
    } else {
        resize(x, size, long, kind)
    }
}

/// Cuts the middle `[n, c, size, size]` out of `x: [n, c, h, w]`, as torchvision's `CenterCrop`: the
/// offset `(edge − size) / 2` is rounded half to even.
///
/// # Errors
///
/// [`Error::Shape`] when `x` is not of rank 4 or is smaller than `size` along an edge,
/// [`Error::Parameter`] when `size` is 0.
pub fn centre_crop(x: &Tensor, size: usize) -> Result<Tensor> {
    const OP: &str = "centre_crop";
    let (_, _, h, w) = check::dims4(OP, "x", x, "[n, c, h, w]")?;
    if size == 0 {
        return Err(Error::parameter(OP, "size", size, "a size of at least 1"));
    }
    if size > h || size > w {
        let expected = format!("[n, c, h, w] with h and w at least {size}");
        return Err(Error::shape(OP, "x", x.dims(), expected));
    }
    let offset = |edge: usize| {
        let slack = edge - size;
        // A half goes to the even neighbour: 1/2 to 0, 3/2 to 2.
        slack / 2 + usize::from(slack % 4 == 3)
    };
    Ok(x.narrow(2, offset(h), size)?.narrow(3, offset(w), size)?)
}

/// The same operators as compositions of candle's, on any device and in any float type.
pub mod reference {
    use super::{Resize, Result, Tensor, plan};

    /// As [`resize`](super::resize), by matrix products with the full weight tables.
    ///
    /// # Errors
    ///
    /// As [`resize`](super::resize).
    pub fn resize(x: &Tensor, h: usize, w: usize, kind: Resize) -> Result<Tensor> {
        plan(x, h, w, kind)?.reference(x)
    }
}

#[cfg(test)]
mod tests;

//! The directional loss: an edit should go the way the texts go.
//!
//! For features of `n` pictures before and after an edit, brought to length 1 as `b` and `e`, and one
//! direction `d` for each, `1 − cos(e − b, d)` (Gal et al. 2021, arXiv 2108.00946, equation 3). Gradients
//! reach all operands that track.
//!
//! An edit that changes nothing has no direction, and one that changes next to nothing has a random one
//! with a huge gradient. [`Guard`] says what keeps its length from being divided by.

use candle_core::{D, Tensor};

use crate::{Error, Result};

/// Length below which PyTorch's cosine takes a vector to be that long.
pub const COSINE_EPS: f64 = 1e-8;

/// What a vector is divided by to bring it to length 1, where it may be 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Guard {
    /// `max(‖x‖, ε)`. Longer vectors are not touched, shorter ones have a gradient of at most `1/ε`.
    Floor(f64),
    /// `‖x‖ + ε`, as DiffusionCLIP has it.
    Added(f64),
}

impl Default for Guard {
    /// A floor of 1e-5: in `f32`, an edit between features of length 1 that is shorter than this is
    /// mostly rounding.
    fn default() -> Self {
        Self::Floor(1e-5)
    }
}

impl Guard {
    /// `x: [.., d]` at length 1 along its last dimension.
    ///
    /// # Errors
    ///
    /// A tensor without dimensions.
    pub fn unit(self, x: &Tensor) -> Result<Tensor> {
        let square = x.sqr()?.sum_keepdim(D::Minus1)?;
        let length = match self {
            // The larger one before the root, whose slope at 0 is infinite.
            Self::Floor(eps) => square.maximum(eps * eps)?.sqrt()?,
            Self::Added(eps) => (square.sqrt()? + eps)?,
        };
        Ok(x.broadcast_div(&length)?)
    }
}

/// `cos(x, y)` along the last dimension of `x, y: [.., d]`, which broadcast; `guard` is for `x`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn cosine(x: &Tensor, y: &Tensor, guard: Guard) -> Result<Tensor> {
    let y = Guard::Floor(COSINE_EPS).unit(y)?;
    Ok(guard.unit(x)?.broadcast_mul(&y)?.sum(D::Minus1)?)
}

/// The loss `1 − cos` `[n]` of edits `[n, d]` with `directions: [n, d]` or `[1, d]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn along(edits: &Tensor, directions: &Tensor, guard: Guard) -> Result<Tensor> {
    let (n, d) = edits.dims2()?;
    match *directions.dims() {
        [rows, length] if length == d && (rows == n || rows == 1) => {}
        _ => {
            return Err(Error::shape(
                "directions",
                directions.dims(),
                format!("[{n} or 1, {d}]"),
            ));
        }
    }
    Ok((1.0 - cosine(edits, directions, guard)?)?)
}

/// Both `[n, d]`.
pub(crate) fn same_shape(base: &Tensor, edited: &Tensor) -> Result<()> {
    match base.dims() == edited.dims() && base.rank() == 2 {
        true => Ok(()),
        false => Err(Error::shape(
            "edited features",
            edited.dims(),
            format!("[n, d], as the base's {:?}", base.dims()),
        )),
    }
}

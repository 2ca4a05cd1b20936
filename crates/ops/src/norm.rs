//! Pixel, layer and group normalisation.
//!
//! All three bring lines of `d` elements to unit size:
//!
//! `y = (x − μ) r`, with `r = 1 / √(mean((x − μ)²) + ε)`
//!
//! | operator | line | `μ` | source |
//! | --- | --- | --- | --- |
//! | [`pixel_norm`] | one dimension | 0 | Karras et al., "Progressive growing of GANs" (2018), section 4.2 |
//! | [`layer_norm`] | the last dimension | mean | Ba et al., "Layer normalization" (2016) |
//! | [`group_norm`] | a group of channels with all their pixels | mean | Wu and He, "Group normalization" (2018) |
//!
//! The latter two then apply `weight` and `bias`, per element of the line or per channel.
//!
//! # Derivatives
//!
//! The Jacobian of a line is the symmetric `J = r (I − 11ᵀ/d − y yᵀ/d)`, without `11ᵀ/d` where `μ` is
//! 0. Backward is `J g`. Its own backward, for `v`, is `J v` with respect to `g`, and with respect to
//! `x`, with `⟨·⟩` the mean over the line,
//!
//! `−J r (v⟨g y⟩ + g⟨v y⟩) − r² y (⟨v g⟩ − ⟨v⟩⟨g⟩ − ⟨v y⟩⟨g y⟩)`
//!
//! candle's own fused layer norm has no backward and drops the gradient.

use candle_core::Tensor;

use crate::{
    Error, Result,
    axis::Axis,
    body::{Bodies, Body},
    check,
};

mod ops;
mod silu;

use ops::{Affine, Line};
pub use silu::group_norm_silu;

const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// `x / √(mean(x², over dim) + eps)`, same shape.
///
/// # Errors
///
/// [`Error::Parameter`] when `x` has no dimension `dim` or `eps` is negative or not a number,
/// [`Error::Shape`] when a dimension is empty, [`Error::DType`] for integers.
pub fn pixel_norm(x: &Tensor, dim: usize, eps: f64) -> Result<Tensor> {
    let line = pixel_line(x, dim, eps)?;
    if BODIES.of(&[x]) == Body::Composed {
        return reference::pixel_norm(x, dim, eps);
    }
    Ok(line.normalise(x)?)
}

fn pixel_line(x: &Tensor, dim: usize, eps: f64) -> Result<Line> {
    const OP: &str = "pixel_norm";
    check_eps(OP, eps)?;
    Ok(Line {
        axis: Axis::of(OP, x, dim)?,
        centre: false,
        eps,
    })
}

/// Normalises the last dimension of `x: [.., d]`, then multiplies by `weight: [d]` and adds
/// `bias: [d]`, where they are given.
///
/// # Errors
///
/// [`Error::Shape`] when `x` has no dimension or an empty one, or `weight` or `bias` is not `[d]`;
/// [`Error::Parameter`] when `eps` is negative or not a number; [`Error::DType`] and
/// [`Error::Device`] when the operands do not match.
pub fn layer_norm(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let (line, affine) = layer_plan(x, weight, bias, eps)?;
    if BODIES.of(&[x]) == Body::Composed {
        return Ok(line.reference(x, weight, bias, &affine)?);
    }
    Ok(line.normalise_affine(x, weight, bias, &affine)?)
}

fn layer_plan(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<(Line, Affine)> {
    const OP: &str = "layer_norm";
    let [rest @ .., channels] = x.dims() else {
        return Err(Error::shape(OP, "x", x.dims(), "[.., d]"));
    };
    let (last, channels) = (rest.len(), *channels);
    let axis = Axis::of(OP, x, last)?;
    check_eps(OP, eps)?;
    check_affine(OP, x, channels, weight, bias)?;
    Ok((
        Line {
            axis,
            centre: true,
            eps,
        },
        Affine {
            dim: last,
            channels,
            repeat: 1,
        },
    ))
}

/// Normalises each of `groups` groups of consecutive channels of `x: [n, c, ..]` over its channels and
/// all the dimensions that follow, then multiplies by `weight: [c]` and adds `bias: [c]`.
///
/// # Errors
///
/// [`Error::Shape`] when `x` has fewer than two dimensions or an empty one, `c` is no multiple of
/// `groups`, or `weight` or `bias` is not `[c]`; [`Error::Parameter`] when `groups` is 0 or `eps` is
/// negative or not a number; [`Error::DType`] and [`Error::Device`] when the operands do not match.
pub fn group_norm(
    x: &Tensor,
    groups: usize,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let (line, affine) = group_plan(x, groups, weight, bias, eps)?;
    if BODIES.of(&[x]) == Body::Composed {
        return Ok(line.reference(x, weight, bias, &affine)?);
    }
    Ok(line.normalise_affine(x, weight, bias, &affine)?)
}

fn group_plan(
    x: &Tensor,
    groups: usize,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<(Line, Affine)> {
    const OP: &str = "group_norm";
    check::float(OP, "x", x)?;
    check::nonempty(OP, "x", x)?;
    let [n, channels, pixels @ ..] = x.dims() else {
        return Err(Error::shape(OP, "x", x.dims(), "[n, c, ..]"));
    };
    if groups == 0 {
        return Err(Error::parameter(OP, "groups", groups, "at least 1"));
    }
    if channels % groups != 0 {
        let expected = format!("[n, c, ..] with c a multiple of the {groups} groups");
        return Err(Error::shape(OP, "x", x.dims(), expected));
    }
    check_eps(OP, eps)?;
    check_affine(OP, x, *channels, weight, bias)?;
    let repeat: usize = pixels.iter().product();
    let axis = Axis {
        outer: n * groups,
        len: channels / groups * repeat,
        inner: 1,
    };
    Ok((
        Line {
            axis,
            centre: true,
            eps,
        },
        Affine {
            dim: 1,
            channels: *channels,
            repeat,
        },
    ))
}

fn check_eps(op: &'static str, eps: f64) -> Result<()> {
    if eps >= 0.0 {
        return Ok(());
    }
    Err(Error::parameter(op, "eps", eps, "0 or more"))
}

fn check_affine(
    op: &'static str,
    x: &Tensor,
    channels: usize,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
) -> Result<()> {
    for (name, operand) in [("weight", weight), ("bias", bias)] {
        let Some(operand) = operand else { continue };
        check::alike(op, name, operand, x)?;
        if operand.dims() != [channels] {
            return Err(Error::shape(
                op,
                name,
                operand.dims(),
                format!("[{channels}]"),
            ));
        }
    }
    Ok(())
}

/// The same operators as compositions of candle's, on any device and in any float type.
pub mod reference {
    use super::{Result, Tensor, group_plan, layer_plan, pixel_line};

    /// As [`pixel_norm`](super::pixel_norm).
    ///
    /// # Errors
    ///
    /// As [`pixel_norm`](super::pixel_norm).
    pub fn pixel_norm(x: &Tensor, dim: usize, eps: f64) -> Result<Tensor> {
        Ok(pixel_line(x, dim, eps)?
            .normalise_reference(x)?
            .to_dtype(x.dtype())?)
    }

    /// As [`layer_norm`](super::layer_norm).
    ///
    /// # Errors
    ///
    /// As [`layer_norm`](super::layer_norm).
    pub fn layer_norm(
        x: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<Tensor> {
        let (line, affine) = layer_plan(x, weight, bias, eps)?;
        Ok(line.reference(x, weight, bias, &affine)?)
    }

    /// As [`group_norm`](super::group_norm).
    ///
    /// # Errors
    ///
    /// As [`group_norm`](super::group_norm).
    pub fn group_norm(
        x: &Tensor,
        groups: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<Tensor> {
        let (line, affine) = group_plan(x, groups, weight, bias, eps)?;
        Ok(line.reference(x, weight, bias, &affine)?)
    }

    /// As [`group_norm_silu`](super::group_norm_silu()).
    ///
    /// # Errors
    ///
    /// As [`group_norm_silu`](super::group_norm_silu()).
    pub fn group_norm_silu(
        x: &Tensor,
        groups: usize,
        scale: &Tensor,
        shift: &Tensor,
        eps: f64,
    ) -> Result<Tensor> {
        super::silu::reference(x, groups, scale, shift, eps)
    }
}

#[cfg(test)]
mod tests;

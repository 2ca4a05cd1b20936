//! Penalties on what modulates a generator, when a domain is a few offsets and not new weights
//! (HyperDomainNet, arXiv 2210.08884).

use candle_core::{D, Tensor};

use crate::Result;

/// `Σ_l mean(o_l²)` over the layers' offsets, of any shape. A layer with several offsets has their sum.
///
/// # Errors
///
/// No layer.
pub fn squared(layers: &[Tensor]) -> Result<Tensor> {
    sum(layers, |offset| Ok(offset.sqr()?.mean_all()?))
}

/// `Σ_l mean(|o_l|)`.
///
/// # Errors
///
/// No layer.
pub fn absolute(layers: &[Tensor]) -> Result<Tensor> {
    sum(layers, |offset| Ok(offset.abs()?.mean_all()?))
}

/// `mean((γ − 1)²) + mean(β²)`: how far a factor and a shift are from changing nothing.
///
/// # Errors
///
/// Types that differ.
pub fn affine(gamma: &Tensor, beta: &Tensor) -> Result<Tensor> {
    Ok(((gamma - 1.0)?.sqr()?.mean_all()? + beta.sqr()?.mean_all()?)?)
}

/// The mean length of offsets `[n, d]` in one layer: a score.
///
/// # Errors
///
/// A tensor without dimensions.
pub fn mean_length(offsets: &Tensor) -> Result<Tensor> {
    Ok(offsets.sqr()?.sum(D::Minus1)?.sqrt()?.mean_all()?)
}

fn sum(layers: &[Tensor], term: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let mut total: Option<Tensor> = None;
    for layer in layers {
        let term = term(layer)?;
        total = Some(match total {
            Some(total) => (total + term)?,
            None => term,
        });
    }
    total.ok_or_else(|| crate::Error::config("number of layers with offsets", 0, "at least 1"))
}

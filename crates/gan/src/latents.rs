//! Latents for the phases, as training draws them: `ws` is w in every row; with style mixing rows from a cutoff on are w'.
//! An expansion projects w on the base subspace first, but for path length.
//!
//! [`map`] is the mapping network of a training step: it moves the running mean of w *before* the
//! mean is used, once per call. The second latent of style mixing does not move it.

use candle_core::Tensor;
use domex_random::Stream;
use domex_stylegan2::{Generator, mapping::broadcast, style_mixing};

use crate::{Error, Result};

/// `z: [n, z_dim]` and `label: [n, c_dim]` to `w: [n, w_dim]`, moving the running mean where the
/// network tracks one. The result is part of the mapping network's graph.
///
/// # Errors
///
/// A wrong shape.
pub fn map(generator: &mut Generator, z: &Tensor, label: Option<&Tensor>) -> Result<Tensor> {
    let w = generator.mapping().forward(Some(z), label)?;
    if generator.mapping().w_avg().is_some() {
        generator.mapping_mut().track(&w)?;
    }
    Ok(w)
}

/// `w: [n, w_dim]` in every row: `[n, rows, w_dim]`.
///
/// # Errors
///
/// A wrong shape.
pub fn plain(generator: &Generator, w: &Tensor) -> Result<Tensor> {
    Ok(broadcast(w, generator.config().num_ws())?)
}

/// Style mixing: the rows of `ws: [n, rows, w_dim]` from `cutoff` on come from
/// `z: [n, z_dim]`. The running mean is not moved.
///
/// # Errors
///
/// A wrong shape, or a cutoff beyond the number of rows.
pub fn mix(
    generator: &Generator,
    ws: &Tensor,
    z: &Tensor,
    label: Option<&Tensor>,
    cutoff: usize,
) -> Result<Tensor> {
    let w = generator.mapping().forward(Some(z), label)?;
    Ok(style_mixing(ws, &plain(generator, &w)?, cutoff)?)
}

/// Where style mixing cuts, one place for a whole batch: with probability `probability` one of
/// 1 to `rows` − 1, each as likely, else none. Always draws the same amount from `stream`.
///
/// # Errors
///
/// A probability outside 0 to 1.
pub fn draw_cutoff(stream: &mut Stream, rows: usize, probability: f64) -> Result<Option<usize>> {
    if !(0.0..=1.0).contains(&probability) {
        return Err(Error::setting(
            "style mixing probability",
            probability,
            "0 to 1",
        ));
    }
    let mixes = stream.uniform_f64() < probability;
    let place = stream.uniform_f64();
    let places = rows.saturating_sub(1);
    if !mixes || places == 0 {
        return Ok(None);
    }
    // The product can round up to `places` itself only for numbers of rows beyond any network.
    Ok(Some(1 + ((place * places as f64) as usize).min(places - 1)))
}

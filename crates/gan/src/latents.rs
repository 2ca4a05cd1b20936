//! Latents for the phases, as the two kinds of training draw them.
//!
//! ```text
//! plain training   ws = every row w;  with style mixing: rows from a cutoff on are w'
//! expansion        ws = every row base(w), with the running mean in the repurposed directions
//! path length      ws as in plain training, in both
//! ```
//!
//! [`map`] is the mapping network of a training step: it moves the running mean of w *before* the
//! mean is used, once per call. The second latent of style mixing does not move it.

use candle_core::Tensor;
use domex_latent::subspace::Subspaces;
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

/// `w: [n, w_dim]` projected on the base subspace, in every row: `[n, rows, w_dim]`. The
/// repurposed coordinates are those of the generator's mean as it is now.
///
/// # Errors
///
/// A wrong shape or type.
pub fn base(generator: &Generator, w: &Tensor, subspaces: &Subspaces) -> Result<Tensor> {
    plain(
        generator,
        &subspaces.project(w, Some(&generator.mean_w()?))?,
    )
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

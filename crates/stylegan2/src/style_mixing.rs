//! Style mixing: coarse layers from one latent, fine layers from another (section 3.1 of
//! arXiv 1812.04948).

use candle_core::Tensor;

use crate::error::expect_dims;
use crate::{Error, Result};

/// Rows below `cutoff` from `coarse`, the others from `fine`; both are `[n, rows, w_dim]`.
/// With a cutoff of 0 the result is `fine`, with one of `rows` it is `coarse`.
///
/// # Errors
///
/// Shapes that differ, or a cutoff beyond the number of rows.
pub fn style_mixing(coarse: &Tensor, fine: &Tensor, cutoff: usize) -> Result<Tensor> {
    expect_dims("coarse latents", coarse, &[None, None, None])?;
    let dims: Vec<_> = coarse.dims().iter().copied().map(Some).collect();
    expect_dims("fine latents", fine, &dims)?;
    let rows = coarse.dim(1)?;
    match cutoff {
        0 => Ok(fine.clone()),
        _ if cutoff == rows => Ok(coarse.clone()),
        _ if cutoff < rows => Ok(Tensor::cat(
            &[
                coarse.narrow(1, 0, cutoff)?,
                fine.narrow(1, cutoff, rows - cutoff)?,
            ],
            1,
        )?),
        _ => Err(Error::config("cutoff", cutoff, format!("0 to {rows}"))),
    }
}

/// Rows at the positions `layers` from `fine`, the others from `coarse`: the picture grids of
/// stylegan2-ada-pytorch's `style_mixing.py`. Order and repetition do not matter.
///
/// # Errors
///
/// Shapes that differ, or a position beyond the number of rows.
pub fn replace_rows(coarse: &Tensor, fine: &Tensor, layers: &[usize]) -> Result<Tensor> {
    expect_dims("coarse latents", coarse, &[None, None, None])?;
    let dims: Vec<_> = coarse.dims().iter().copied().map(Some).collect();
    expect_dims("fine latents", fine, &dims)?;
    let rows = coarse.dim(1)?;
    if let Some(layer) = layers.iter().find(|layer| **layer >= rows) {
        return Err(Error::config(
            "layer to mix",
            layer,
            format!("0 to {}", rows.saturating_sub(1)),
        ));
    }
    let picked = (0..rows)
        .map(|row| {
            let from = if layers.contains(&row) { fine } else { coarse };
            from.narrow(1, row, 1)
        })
        .collect::<candle_core::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&picked, 1)?)
}

//! Between W `[n, D]` and W+ `[n, L, D]`.

use candle_core::{D, DType, Tensor};

use crate::{Error, Result};

/// One W code per image from W+ codes whose rows are equal: `[n, L, D]` to `[n, D]`. A latent that
/// is in W already is returned as it is.
///
/// `tolerance` is the largest absolute difference of an entry from row 0; 0 asks for equal bits.
///
/// # Errors
///
/// [`Error::NotW`] with the first image whose rows differ and its farthest row; [`Error::Shape`].
pub fn to_w(latent: &Tensor, tolerance: f64) -> Result<Tensor> {
    match latent.dims() {
        [_, _] => return Ok(latent.clone()),
        [_, layers, _] if *layers > 0 => {}
        dims => return Err(Error::shape("latent", "[n, D] or [n, layers, D]", dims)),
    }
    let first = latent.narrow(1, 0, 1)?;
    let away = latent.detach().broadcast_sub(&first.detach())?.abs()?;
    let away: Vec<Vec<f64>> = away.max(D::Minus1)?.to_dtype(DType::F64)?.to_vec2()?;
    for (sample, rows) in away.iter().enumerate() {
        let (mut row, mut distance) = (0, 0.0);
        for (i, &d) in rows.iter().enumerate() {
            if d > distance || d.is_nan() {
                (row, distance) = (i, d);
            }
        }
        if distance > tolerance || distance.is_nan() {
            return Err(Error::NotW {
                sample,
                row,
                distance,
                tolerance,
            });
        }
    }
    Ok(first.squeeze(1)?)
}

/// The same W code for every layer: `[n, D]` to `[n, layers, D]`. A latent that is in W+ already is
/// returned as it is.
///
/// # Errors
///
/// [`Error::Shape`] when the latent has another rank or another number of layers.
pub fn to_w_plus(latent: &Tensor, layers: usize) -> Result<Tensor> {
    match *latent.dims() {
        [n, dim] => Ok(latent
            .unsqueeze(1)?
            .broadcast_as((n, layers, dim))?
            .contiguous()?),
        [_, found, _] if found == layers => Ok(latent.clone()),
        _ => Err(Error::shape(
            "latent",
            format!("[n, D] or [n, {layers}, D]"),
            latent.dims(),
        )),
    }
}

//! Cross entropies, and how near pictures are.

use candle_core::{D, DType, Device, Tensor};
use domex_ops::upload;

use crate::{Error, Result};

/// `log softmax` of the last dimension.
///
/// # Errors
///
/// A tensor without dimensions.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    // The largest only guards against overflow; its gradient is nothing.
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let total = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(shifted.broadcast_sub(&total)?)
}

/// `−Σ target · log softmax(logits)` for each row: `[n]` of `[n, k]` twice.
///
/// # Errors
///
/// Shapes that differ.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(log_softmax(logits)?.mul(target)?.sum(D::Minus1)?.neg()?)
}

/// `[n, classes]`: 1 at each row's class, else 0.
///
/// # Errors
///
/// A class out of range.
pub fn one_hot(rows: &[u32], classes: usize, device: &Device) -> Result<Tensor> {
    let mut values = vec![0f32; rows.len() * classes];
    for (row, &class) in rows.iter().enumerate() {
        if class as usize >= classes {
            return Err(Error::config(
                format!("class of scene {row}"),
                class,
                format!("below {classes}"),
            ));
        }
        values[row * classes + class as usize] = 1.0;
    }
    let values = Tensor::from_vec(values, (rows.len(), classes), &Device::Cpu)?;
    Ok(upload(&values, device)?)
}

/// The share of rows whose largest logit is at the row's class.
///
/// # Errors
///
/// Another shape than `[n, classes]`.
pub fn accuracy(logits: &Tensor, rows: &[u32]) -> Result<f64> {
    let best = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
    let right = best.iter().zip(rows).filter(|(a, b)| a == b).count();
    Ok(right as f64 / rows.len().max(1) as f64)
}

/// The mean over pictures in `[-1, 1]` of each one's peak signal-to-noise ratio, in decibels.
pub(crate) fn psnr(a: &Tensor, b: &Tensor) -> Result<f64> {
    let error = (a - b)?
        .sqr()?
        .flatten_from(1)?
        .mean(1)?
        .to_dtype(DType::F64)?;
    let errors = error.to_vec1::<f64>()?;
    let count = errors.len() as f64;
    // The signal's range is 2.
    Ok(errors
        .iter()
        .map(|e| 10.0 * (4.0 / e.max(1e-12)).log10())
        .sum::<f64>()
        / count)
}

//! Features at the door: rows of float64 on the CPU, finite, of one size.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Features `[n, d]` in float64, on the CPU from whatever device: few numbers, and a card is slow at them.
///
/// # Errors
///
/// Another rank, an empty dimension, or a number that is not finite.
pub(crate) fn rows(features: &Tensor) -> Result<Tensor> {
    let (_, d) = match *features.dims() {
        [n, d] if n > 0 && d > 0 => (n, d),
        _ => {
            let found = format!("{:?}", features.dims());
            return Err(Error::unfit("features", found, "[n, d], neither of them 0"));
        }
    };
    let features = features.detach().to_device(&Device::Cpu)?;
    let features = features.to_dtype(DType::F64)?;
    // One number that is not finite makes the sum so.
    if !features.sum_all()?.to_scalar::<f64>()?.is_finite() {
        let values: Vec<f64> = features.flatten_all()?.to_vec1()?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            return Err(Error::NotFinite {
                value: values[at],
                row: at / d,
                column: at % d,
            });
        }
    }
    Ok(features)
}

/// Two sets of features of one size.
///
/// # Errors
///
/// As [`rows`], or sizes that differ.
pub(crate) fn pair(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let (a, b) = (rows(a)?, rows(b)?);
    let (d, e) = (a.dim(1)?, b.dim(1)?);
    if d != e {
        return Err(Error::unfit("size of the second set's features", e, d));
    }
    Ok((a, b))
}

/// Rows `[n, d]` scaled to length 1. A row of zeros stays.
///
/// # Errors
///
/// As for all features: a wrong rank, or a number that is not finite.
pub fn unit_rows(features: &Tensor) -> Result<Tensor> {
    let x = rows(features)?;
    let lengths = x.sqr()?.sum_keepdim(1)?.sqrt()?;
    Ok(x.broadcast_div(&lengths.maximum(f64::MIN_POSITIVE)?)?)
}

/// Blocks of rows that a product of two sets is made in: its memory is bounded by this many rows of the second's length.
pub(crate) const ROWS: usize = 256;

/// Inner products of some rows of `a` with all of `b`, block by block, with the first row of each block.
pub(crate) fn products<'a>(
    a: &'a Tensor,
    b: &'a Tensor,
) -> impl Iterator<Item = Result<(usize, Tensor)>> + 'a {
    let n = a.dims()[0];
    (0..n).step_by(ROWS).map(move |start| {
        let block = a.narrow(0, start, ROWS.min(n - start))?;
        Ok((start, block.matmul(&b.t()?)?))
    })
}

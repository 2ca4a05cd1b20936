//! The resampling filter of the blocks, a buffer that every layer of a checkpoint repeats.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Init, VarBuilder};
use domex_ops::upfirdn2d::{SEPARABLE_TAPS, setup_filter};

use crate::weights;
use crate::{Error, Result};

/// Name of the buffer.
pub(crate) const NAME: &str = "resample_filter";

/// Reads `resample_filter`, whose shape follows from the number of taps.
pub(crate) fn buffer(vb: &VarBuilder<'_>, taps: &[f64]) -> Result<Tensor> {
    Ok(weights::buffer(
        vb,
        shape(taps.len()),
        NAME,
        Init::Const(0.0),
    )?)
}

/// `[k, k]`, or `[k]` for a separable filter.
fn shape(taps: usize) -> Vec<usize> {
    if taps < SEPARABLE_TAPS {
        vec![taps, taps]
    } else {
        vec![taps]
    }
}

/// The filter as a checkpoint stores it: sum 1.
pub(crate) fn stored(taps: &[f64], dtype: DType, device: &Device) -> Result<Tensor> {
    Ok(setup_filter(taps, None, device, dtype)?)
}

/// Taps of a filter of this shape: the binomial coefficients, which are `[1, 3, 3, 1]` for the
/// published four.
pub(crate) fn binomial(shape: &[usize]) -> Result<Vec<f64>> {
    let taps = match *shape {
        [k] if (SEPARABLE_TAPS..=64).contains(&k) => k,
        [k, same] if k == same && (1..SEPARABLE_TAPS).contains(&k) => k,
        _ => {
            return Err(Error::Shape {
                what: NAME.to_string(),
                expected: "[k, k] with k below 8, or [k] with k from 8 to 64".to_string(),
                found: shape.to_vec(),
            });
        }
    };
    let mut row = vec![1.0];
    for n in 1..taps {
        let last = *row.last().unwrap_or(&1.0);
        row.push(last * (taps - n) as f64 / n as f64);
    }
    Ok(row)
}

/// Taps of a stored filter, with sum 1: its rows added up. Exact for an outer product.
pub(crate) fn taps(filter: &Tensor) -> Result<Vec<f64>> {
    // Rows of no filter can have any length where there are none of them.
    binomial(filter.dims())?;
    let filter = filter.to_dtype(DType::F64)?.to_device(&Device::Cpu)?;
    let row = if filter.rank() == 2 {
        filter.sum(0)?
    } else {
        filter
    };
    Ok(row.to_vec1::<f64>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_filter_is_its_taps_and_nothing_else_is_one() {
        let filter = stored(&[1.0, 2.0, 1.0], DType::F32, &Device::Cpu).unwrap();
        assert_eq!(taps(&filter).unwrap(), [0.25, 0.5, 0.25]);
        let none = Tensor::zeros((0, 1 << 60), DType::F32, &Device::Cpu).unwrap();
        assert!(taps(&none).unwrap_err().to_string().contains(NAME));
    }
}

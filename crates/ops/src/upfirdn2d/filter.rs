//! Low-pass filters from their taps.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result, check};

const OP: &str = "setup_filter";

/// A 1-D filter with at least so many taps stays separable unless the caller says otherwise.
pub const SEPARABLE_TAPS: usize = 8;

/// A filter from its 1-D taps, normalised to sum 1: `[k]` when separable, else the outer product
/// `[k, k]`. Without a choice, filters with fewer than 8 taps become outer products.
///
/// # Errors
///
/// [`Error::Parameter`] for no taps, taps that are not finite, or a sum of 0.
pub fn setup_filter(
    taps: &[f64],
    separable: Option<bool>,
    device: &Device,
    dtype: DType,
) -> Result<Tensor> {
    let taps = normalised(taps)?;
    let n = taps.len();
    if separable.unwrap_or(n >= SEPARABLE_TAPS) {
        return Ok(Tensor::from_vec(taps, n, device)?.to_dtype(dtype)?);
    }
    check::elements(OP, &[n, n], DType::F64)?;
    let outer: Vec<f64> = taps
        .iter()
        .flat_map(|a| taps.iter().map(move |b| a * b))
        .collect();
    Ok(Tensor::from_vec(outer, (n, n), device)?.to_dtype(dtype)?)
}

/// A filter from its 2-D taps in rows of `width`, normalised to sum 1: `[taps / width, width]`.
///
/// # Errors
///
/// As [`setup_filter`]; [`Error::Parameter`] when the rows do not come out even.
pub fn setup_filter2d(taps: &[f64], width: usize, device: &Device, dtype: DType) -> Result<Tensor> {
    if width == 0 || !taps.len().is_multiple_of(width) {
        let expected = format!("a divisor of the {} taps", taps.len());
        return Err(Error::parameter(OP, "width", width, expected));
    }
    let shape = (taps.len() / width, width);
    Ok(Tensor::from_vec(normalised(taps)?, shape, device)?.to_dtype(dtype)?)
}

fn normalised(taps: &[f64]) -> Result<Vec<f64>> {
    let sum: f64 = taps.iter().sum();
    if taps.is_empty() || !sum.is_finite() || sum == 0.0 {
        let expected = "finite numbers with a sum other than 0";
        return Err(Error::parameter(OP, "taps", format!("{taps:?}"), expected));
    }
    Ok(taps.iter().map(|t| t / sum).collect())
}

/// Height and width of the filter.
pub(crate) fn filter_size(filter: Option<&Tensor>) -> Result<[usize; 2]> {
    let Some(filter) = filter else {
        return Ok([1, 1]);
    };
    match *filter.dims() {
        [k] if k > 0 => Ok([k, k]),
        [kh, kw] if kh > 0 && kw > 0 => Ok([kh, kw]),
        _ => Err(Error::shape(
            "upfirdn2d",
            "filter",
            filter.dims(),
            "[kh, kw] or [k]",
        )),
    }
}

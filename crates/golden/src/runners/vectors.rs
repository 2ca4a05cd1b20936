//! Vectors whose signs are arbitrary, and what does not depend on the signs.

use candle_core::{DType, Tensor};

use crate::Result;

/// `ours: [D, K]` with the sign of each column as in `reference`, a column of which may have the
/// opposite direction of ours and still be the same singular vector.
pub(super) fn signed_like(ours: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let reference = reference.to_device(ours.device())?.to_dtype(ours.dtype())?;
    if reference.dims() != ours.dims() {
        return Ok(ours.clone());
    }
    let dots = (ours * &reference)?.sum_keepdim(0)?;
    let negative = dots.lt(&dots.zeros_like()?)?.to_dtype(ours.dtype())?;
    // 1 for a column that agrees, -1 for one that does not.
    let signs = ((negative * -2.0)? + 1.0)?;
    Ok(ours.broadcast_mul(&signs)?)
}

/// `V_k V_kᵀ` of the first or last `k` columns that `name` (`first8`, `last2`) speaks of; `None`
/// for another name or more columns than there are.
pub(super) fn projector(vectors: &Tensor, name: &str) -> Result<Option<Tensor>> {
    let columns = vectors.dim(1)?;
    let count = |digits: &str| digits.parse().ok().filter(|k| (1..=columns).contains(k));
    let (start, k) = if let Some(k) = name.strip_prefix("first").and_then(count) {
        (0, k)
    } else if let Some(k) = name.strip_prefix("last").and_then(count) {
        (columns - k, k)
    } else {
        return Ok(None);
    };
    let chosen = vectors.narrow(1, start, k)?.contiguous()?;
    Ok(Some(chosen.matmul(&chosen.t()?.contiguous()?)?))
}

/// Numbers in the type of what they are compared with.
pub(super) fn row(values: &[f64], like: DType, device: &candle_core::Device) -> Result<Tensor> {
    Ok(Tensor::new(values, device)?.to_dtype(like)?)
}

//! Checks at the door: shapes, element types and sizes, before anything is allocated.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The four dimensions of `t: [n, c, h, w]`, none of them zero.
pub(crate) fn dims4(
    op: &'static str,
    tensor: &'static str,
    t: &Tensor,
    axes: &str,
) -> Result<(usize, usize, usize, usize)> {
    nonempty(op, tensor, t)?;
    match *t.dims() {
        [a, b, c, d] => Ok((a, b, c, d)),
        _ => Err(Error::shape(
            op,
            tensor,
            t.dims(),
            format!("{axes} (rank 4)"),
        )),
    }
}

/// No dimension of `t` is zero.
pub(crate) fn nonempty(op: &'static str, tensor: &'static str, t: &Tensor) -> Result<()> {
    if t.dims().contains(&0) {
        return Err(Error::shape(op, tensor, t.dims(), "no dimension of size 0"));
    }
    Ok(())
}

/// `t` holds floating point numbers.
pub(crate) fn float(op: &'static str, tensor: &'static str, t: &Tensor) -> Result<()> {
    if t.dtype().is_float() {
        return Ok(());
    }
    Err(Error::DType {
        op,
        tensor,
        got: t.dtype(),
        expected: "a floating point type".into(),
    })
}

/// `t` has the element type and the device of `first`.
pub(crate) fn alike(
    op: &'static str,
    tensor: &'static str,
    t: &Tensor,
    first: &Tensor,
) -> Result<()> {
    if t.dtype() != first.dtype() {
        return Err(Error::DType {
            op,
            tensor,
            got: t.dtype(),
            expected: format!("{:?}, as the first operand", first.dtype()),
        });
    }
    if !t.device().same_device(first.device()) {
        return Err(Error::Device {
            op,
            tensor,
            got: t.device().location(),
            expected: first.device().location(),
        });
    }
    Ok(())
}

/// The product of `dims`, when a tensor of that shape can exist in memory at all.
pub(crate) fn elements(op: &'static str, dims: &[usize], dtype: DType) -> Result<usize> {
    dims.iter()
        .try_fold(1usize, |product, &d| product.checked_mul(d))
        .filter(|&n| {
            n.checked_mul(dtype.size_in_bytes().max(1))
                .is_some_and(|bytes| isize::try_from(bytes).is_ok())
        })
        .ok_or_else(|| Error::shape(op, "output", dims, "a size that fits into memory"))
}

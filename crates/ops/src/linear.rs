//! Fully connected layer.
//!
//! `y[.., o] = Σ_i x[.., i] · weight[o, i] + bias[o]` with `x: [.., in]`, `weight: [out, in]`,
//! `bias: [out]`, `y: [.., out]`. Weights are used as they are: an equalised learning rate is the
//! caller's factor.
//!
//! Exact to any order, and free for operands that do not track, as [`matmul()`].

use candle_core::Tensor;

use crate::{
    Activation, BiasAct, Error, Result, bias_act,
    body::{Bodies, Body},
    check, matmul,
};

const OP: &str = "linear";
const BODIES: Bodies = Bodies::CPU;

/// `x: [.., in]` to `[.., out]`. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when `weight` is not `[out, in]` or `bias` not `[out]`, or for a size of
/// zero; [`Error::DType`] and [`Error::Device`] when the operands do not match.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let dims = check_operands(x, weight, bias)?;
    if BODIES.of(&[x, weight]) == Body::Composed {
        return reference(x, weight, bias);
    }
    let rows = x.elem_count() / weight.dim(1)?;
    let flat = x.reshape((rows, weight.dim(1)?))?;
    let y = matmul::product(&flat, weight, true, true)?;
    let y = match bias {
        Some(_) => bias_act(&y, bias, &BiasAct::new(Activation::Linear))?,
        None => y,
    };
    Ok(y.reshape(dims)?)
}

/// The same from candle's own operations, with gradients for all operands.
///
/// # Errors
///
/// As [`linear`].
pub fn reference(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let dims = check_operands(x, weight, bias)?;
    let rows = x.elem_count() / weight.dim(1)?;
    let y = x.reshape((rows, weight.dim(1)?))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    Ok(y.reshape(dims)?)
}

/// The shape of the result.
pub(crate) fn check_operands(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Vec<usize>> {
    check::float(OP, "x", x)?;
    check::alike(OP, "weight", weight, x)?;
    check::nonempty(OP, "x", x)?;
    check::nonempty(OP, "weight", weight)?;
    let Some(&inputs) = x.dims().last() else {
        return Err(Error::shape(OP, "x", x.dims(), "[.., in]"));
    };
    let outputs = match *weight.dims() {
        [outputs, i] if i == inputs => outputs,
        _ => {
            let expected = format!("[out, {inputs}] for x {:?}", x.dims());
            return Err(Error::shape(OP, "weight", weight.dims(), expected));
        }
    };
    if let Some(bias) = bias {
        check::alike(OP, "bias", bias, x)?;
        if bias.dims() != [outputs] {
            return Err(Error::shape(
                OP,
                "bias",
                bias.dims(),
                format!("[{outputs}]"),
            ));
        }
    }
    let mut dims = x.dims().to_vec();
    dims[x.rank() - 1] = outputs;
    check::elements(OP, &dims, x.dtype())?;
    Ok(dims)
}

#[cfg(test)]
mod tests;

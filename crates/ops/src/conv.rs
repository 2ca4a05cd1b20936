//! Convolution and transposed convolution in two dimensions.
//!
//! [`conv2d`] is the correlation that PyTorch calls convolution:
//! `y[n, o, i, j] = Σ_{c, a, b} w[o, c, a, b] · x[n, c, i·s + a − p, j·s + b − p]` with stride `s`,
//! padding `p` and zeros outside; `x: [n, c, h, w]`, `w: [o, c, kh, kw]`,
//! `y: [n, o, ⌊(h + 2p − kh)/s⌋ + 1, ..]`. [`conv_transpose2d`] is its adjoint in `x`.
//!
//! # Derivatives
//!
//! A convolution is bilinear. With the incoming gradient `g` there are three operators: the
//! forward one `F(x, w)`, the gradient of the input `I(w, g)` and that of the weight `W(x, g)`.
//! They are closed under differentiation:
//!
//! | operator | derivative in the first operand along `v` | in the second |
//! | --- | --- | --- |
//! | `F(x, w)` | `I(w, v)` | `W(x, v)` |
//! | `I(w, g)` | `W(v, g)` | `F(v, w)` |
//! | `W(x, g)` | `I(v, g)` | `F(x, v)` |
//!
//! so derivatives of any order are exact. Only operands that track get one. The transposed
//! convolution is `I`.
//!
//! On a CUDA device a convolution of which no gradient will be asked adds its bias, and what else follows, in its own kernel. The three
//! operators alone are cuDNN's, where it is there and does them with the same bits each time ([`allow_cudnn`]), and else our kernels'.
//!
//! Half precision is that of memory: products are added up in float32, and the result is rounded once. On a CUDA device the kernels
//! read and write it; elsewhere the operands are widened. Which cards multiply by tensor cores, and when, says [`crate::tf32`].

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor};
use domex_kernels::conv::{self as kernel, ConvShape};

use crate::{
    Activation, BiasAct, Error, Result,
    autograd::{in_backward, weight_grad},
    bias_act,
    body::{Bodies, Body},
    check,
    cpu::{self, Element, by_dtype},
    tf32,
};

#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(feature = "cuda")]
mod cudnn;
mod library;

pub use self::library::{allow_cudnn, computed_by_cudnn};

#[cfg(feature = "cuda")]
use self::cuda::Fused;
#[cfg(feature = "cuda")]
use crate::epilogue::Curve;

const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// Convolution of `x: [n, i, h, w]` with `weight: [o, i, kh, kw]` and `bias: [o]`, padded with
/// `padding` zeros on every side. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when the operands do not fit each other, the kernel is larger than the padded
/// input, a size is zero or overflows; [`Error::Parameter`] for a stride of zero;
/// [`Error::DType`] and [`Error::Device`] when the operands do not match.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let shape = forward_shape(x, weight, bias, stride, padding)?;
    if BODIES.widens(&[x, weight]) {
        let bias = bias.map(wide).transpose()?;
        let y = conv2d(&wide(x)?, &wide(weight)?, bias.as_ref(), stride, padding)?;
        return Ok(y.to_dtype(x.dtype())?);
    }
    if BODIES.of(&[x, weight]) == Body::Composed {
        return reference::conv2d(x, weight, bias, stride, padding);
    }
    #[cfg(feature = "cuda")]
    if let Some(y) = at_once(&shape, x, weight, bias, Curve::IDENTITY)? {
        return Ok(y);
    }
    let y = apply(Part::Forward, shape, x, weight)?;
    match bias {
        Some(_) => bias_act(&y, bias, &BiasAct::new(Activation::Linear)),
        None => Ok(y),
    }
}

/// `act` of a convolution plus `bias`.
///
/// # Errors
///
/// As [`conv2d`] and [`bias_act()`].
pub(crate) fn activated(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    [stride, padding]: [usize; 2],
    act: &BiasAct,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(curve) = act.curve() {
        act.check_numbers()?;
        let shape = forward_shape(x, weight, bias, stride, padding)?;
        if let Some(y) = at_once(&shape, x, weight, bias, curve)? {
            return Ok(y);
        }
    }
    let y = conv2d(x, weight, None, stride, padding)?;
    bias_act(&y, bias, act)
}

/// All by one kernel, where there is more than the convolution, the device has it, and no gradient will be asked for; elsewhere None.
#[cfg(feature = "cuda")]
fn at_once(
    s: &ConvShape,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    curve: Curve,
) -> Result<Option<Tensor>> {
    let plain = bias.is_none() && curve.is_identity();
    if plain || BODIES.without_graph(&[Some(x), Some(weight), bias]) != Body::Cuda {
        return Ok(None);
    }
    let fused = Fused {
        style: None,
        scale: None,
        noise: None,
        bias,
        curve,
    };
    Ok(Some(fused.run(s, x, weight)?))
}

/// Transposed convolution of `x: [n, i, h, w]` with `weight: [i, o, kh, kw]`, giving
/// `[n, o, (h − 1)·stride − 2·padding + kh, ..]`. See the [module docs](self).
///
/// # Errors
///
/// As [`conv2d`]; also when the padding crops everything.
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let shape = transpose_shape(x, weight, stride, padding)?;
    if BODIES.widens(&[x, weight]) {
        let y = conv_transpose2d(&wide(x)?, &wide(weight)?, stride, padding)?;
        return Ok(y.to_dtype(x.dtype())?);
    }
    if BODIES.of(&[x, weight]) == Body::Composed {
        return reference::conv_transpose2d(x, weight, stride, padding);
    }
    apply(Part::InputGrad, shape, weight, x)
}

fn wide(t: &Tensor) -> candle_core::Result<Tensor> {
    t.to_dtype(DType::F32)
}

pub(crate) fn forward_shape(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<ConvShape> {
    const OP: &str = "conv2d";
    check_floats(OP, x, weight, stride)?;
    let (n, c_in, h, w) = check::dims4(OP, "x", x, "[n, i, h, w]")?;
    let (c_out, i, kh, kw) = check::dims4(OP, "weight", weight, "[o, i, kh, kw]")?;
    if i != c_in {
        let expected = format!("[o, {c_in}, kh, kw] for x {:?}", x.dims());
        return Err(Error::shape(OP, "weight", weight.dims(), expected));
    }
    if let Some(bias) = bias {
        check::alike(OP, "bias", bias, x)?;
        if bias.dims() != [c_out] {
            return Err(Error::shape(OP, "bias", bias.dims(), format!("[{c_out}]")));
        }
    }
    let shape = ConvShape {
        n,
        c_in,
        h,
        w,
        c_out,
        kh,
        kw,
        stride,
        padding,
    };
    shape
        .check()
        .map_err(|e| unfit(OP, weight, x, padding, &e))?;
    Ok(shape)
}

/// The shape of the convolution whose adjoint this is.
pub(crate) fn transpose_shape(
    x: &Tensor,
    weight: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<ConvShape> {
    const OP: &str = "conv_transpose2d";
    check_floats(OP, x, weight, stride)?;
    let (n, c_out, h, w) = check::dims4(OP, "x", x, "[n, i, h, w]")?;
    let (i, c_in, kh, kw) = check::dims4(OP, "weight", weight, "[i, o, kh, kw]")?;
    if i != c_out {
        let expected = format!("[{c_out}, o, kh, kw] for x {:?}", x.dims());
        return Err(Error::shape(OP, "weight", weight.dims(), expected));
    }
    let size = |size: usize, k: usize| {
        let full = (size - 1).checked_mul(stride)?.checked_add(k)?;
        full.checked_sub(padding.checked_mul(2)?)
            .filter(|&left| left > 0)
    };
    let (Some(h), Some(w)) = (size(h, kh), size(w, kw)) else {
        let expected = format!(
            "less padding than {padding} or smaller sizes, for weight {:?} and stride {stride}",
            weight.dims()
        );
        return Err(Error::shape(OP, "x", x.dims(), expected));
    };
    let shape = ConvShape {
        n,
        c_in,
        h,
        w,
        c_out,
        kh,
        kw,
        stride,
        padding,
    };
    shape
        .check()
        .map_err(|e| unfit(OP, weight, x, padding, &e))?;
    Ok(shape)
}

fn check_floats(op: &'static str, x: &Tensor, weight: &Tensor, stride: usize) -> Result<()> {
    check::float(op, "x", x)?;
    check::alike(op, "weight", weight, x)?;
    if stride == 0 {
        return Err(Error::parameter(op, "stride", stride, "at least 1"));
    }
    Ok(())
}

fn unfit(
    op: &'static str,
    weight: &Tensor,
    x: &Tensor,
    padding: usize,
    why: &domex_kernels::Error,
) -> Error {
    let expected = format!(
        "one that fits x {:?} with padding {padding} ({why})",
        x.dims()
    );
    Error::shape(op, "weight", weight.dims(), expected)
}

/// Which of the three operators; see the [module docs](self).
#[derive(Clone, Copy)]
enum Part {
    /// `F(x, w)`
    Forward,
    /// `I(w, g)`
    InputGrad,
    /// `W(x, g)`
    WeightGrad,
}

#[derive(Clone, Copy)]
struct Conv {
    part: Part,
    shape: ConvShape,
    /// Whether factors may be rounded to TF32: its gradients are computed as it was.
    #[cfg_attr(not(feature = "cuda"), allow(dead_code))]
    tf32: bool,
}

fn apply(part: Part, shape: ConvShape, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let tf32 = tf32::allowed();
    Conv { part, shape, tf32 }.on(a, b)
}

impl Conv {
    fn on(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(a.contiguous()?.apply_op2(&b.contiguous()?, self)?)
    }

    /// The shape of the result.
    fn result(&self) -> Shape {
        let s = &self.shape;
        Shape::from(match self.part {
            Part::Forward => (s.n, s.c_out, s.out_h(), s.out_w()),
            Part::InputGrad => (s.n, s.c_in, s.h, s.w),
            Part::WeightGrad => (s.c_out, s.c_in, s.kh, s.kw),
        })
    }

    fn run<T: Element>(&self, a: &[T], b: &[T]) -> candle_core::Result<(CpuStorage, Shape)> {
        let s = &self.shape;
        let shape = self.result();
        let y = cpu::filled(shape.elem_count(), |y| match self.part {
            Part::Forward => kernel::forward(s, a, b, y),
            Part::InputGrad => kernel::grad_input(s, a, b, y),
            Part::WeightGrad => kernel::grad_weight(s, a, b, y),
        })?;
        Ok((y, shape))
    }
}

impl CustomOp2 for Conv {
    fn name(&self) -> &'static str {
        match self.part {
            Part::Forward => "conv2d",
            Part::InputGrad => "conv2d-input-grad",
            Part::WeightGrad => "conv2d-weight-grad",
        }
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, self.name(), T => self.run::<T>(cpu::slice(s1, l1)?, cpu::slice(s2, l2)?))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        use domex_cuda::plan;

        use crate::cuda::{Input, compute, element};
        let shape = self.result();
        let asked = cudnn::convolution(self.part, self.shape, element(s1.dtype())?, self.tf32);
        let len = shape.elem_count();
        if let Some(y) = cudnn::computed(&asked, [(s1, l1), (s2, l2)], len)? {
            return Ok((y, shape));
        }
        let products = cuda::products(s1.dtype(), self.tf32)?;
        let plan = match self.part {
            Part::Forward => plan::conv_forward(&self.shape, &plan::Fused::NONE, products),
            Part::InputGrad => plan::conv_grad_input(&self.shape, products),
            Part::WeightGrad => plan::conv_grad_weight(&self.shape, products),
        };
        let inputs = [Input::All(s1, l1), Input::All(s2, l2)];
        Ok((compute(plan, &inputs, 2, len)?, shape))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        v: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let apply = |part: Part, p: &Tensor, q: &Tensor| Self { part, ..*self }.on(p, q);
        let when = |wanted: bool, part: Part, p: &Tensor, q: &Tensor| {
            wanted.then(|| apply(part, p, q)).transpose()
        };
        let (ad, bd) = (&in_backward(a), &in_backward(b));
        Ok(match self.part {
            Part::Forward => (
                when(a.track_op(), Part::InputGrad, bd, v)?,
                weight_grad(b, || apply(Part::WeightGrad, ad, v))?,
            ),
            Part::InputGrad => (
                weight_grad(a, || apply(Part::WeightGrad, v, bd))?,
                when(b.track_op(), Part::Forward, v, ad)?,
            ),
            Part::WeightGrad => (
                when(a.track_op(), Part::InputGrad, v, bd)?,
                when(b.track_op(), Part::Forward, ad, v)?,
            ),
        })
    }
}

/// The same operators from candle's own operations.
pub mod reference {
    use candle_core::Tensor;

    use super::{forward_shape, transpose_shape};
    use crate::Result;

    /// [`conv2d`](super::conv2d) from candle's own operations, with gradients for all operands.
    ///
    /// # Errors
    ///
    /// As [`conv2d`](super::conv2d()).
    pub fn conv2d(
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: usize,
    ) -> Result<Tensor> {
        let s = forward_shape(x, weight, bias, stride, padding)?;
        // What the last window leaves over at the bottom and at the right. candle's backward assumes
        // that both are the same; where they are not, they are cut away first.
        let used = |out: usize, k: usize| (out - 1) * stride + k;
        let (used_h, used_w) = (used(s.out_h(), s.kh), used(s.out_w(), s.kw));
        let (x, padding) = if s.h + 2 * padding - used_h == s.w + 2 * padding - used_w {
            (x.clone(), padding)
        } else {
            let padded = x.pad_with_zeros(2, padding, padding)?;
            let padded = padded.pad_with_zeros(3, padding, padding)?;
            (padded.narrow(2, 0, used_h)?.narrow(3, 0, used_w)?, 0)
        };
        let y = x
            .contiguous()?
            .conv2d(&weight.contiguous()?, padding, stride, 1, 1)?;
        match bias {
            Some(bias) => Ok(y.broadcast_add(&bias.reshape((1, s.c_out, 1, 1))?)?),
            None => Ok(y),
        }
    }

    /// [`conv_transpose2d`](super::conv_transpose2d) from candle's own operations, with gradients for both operands.
    ///
    /// # Errors
    ///
    /// As [`conv_transpose2d`](super::conv_transpose2d()).
    pub fn conv_transpose2d(
        x: &Tensor,
        weight: &Tensor,
        stride: usize,
        padding: usize,
    ) -> Result<Tensor> {
        let s = transpose_shape(x, weight, stride, padding)?;
        // Cropped afterwards: candle's body takes the padding, but its gradient then loses rows.
        let y = x
            .contiguous()?
            .conv_transpose2d(&weight.contiguous()?, 0, 0, stride, 1)?;
        Ok(y.narrow(2, padding, s.h)?.narrow(3, padding, s.w)?)
    }
}

#[cfg(test)]
mod tests;

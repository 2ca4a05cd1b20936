//! The Gaussian error linear unit of transformers, exact or approximated.
//!
//! Exact: `y = x · Φ(x)` with the normal distribution function `Φ(x) = ½ (1 + erf(x/√2))` (Hendrycks and Gimpel
//! 2016, arXiv 1606.08415). Quick: `y = x · σ(1.702 x)` with the logistic function σ, as CLIP has it.
//!
//! Backward: `∂x = g · y'(x)` with `Φ(x) + x φ(x)` or `σ (1 + 1.702 x (1 − σ))`, one pass each way.
//! Where the graph is kept, the slope is composed of candle's differentiable operations, so any order is exact.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use domex_kernels::{
    Activation,
    epilogue::{self as kernel, Epilogue, EpilogueGrads, EpilogueShape},
};

use crate::{
    Result,
    body::{Bodies, Body},
    check,
    cpu::{self, Borrowed, Element, by_dtype},
};

const OP: &str = "gelu";
const BODIES: Bodies = Bodies::CPU_AND_CUDA;
/// The factor of the quick form.
const QUICK: f64 = 1.702;

/// Which form; see the [module docs](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gelu {
    /// With the error function.
    Exact,
    /// With the logistic function.
    Quick,
}

/// The activation of `x` of any shape. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`](crate::Error::Shape) when a dimension of `x` is empty, [`Error::DType`](crate::Error::DType) for
/// integers.
pub fn gelu(x: &Tensor, form: Gelu) -> Result<Tensor> {
    check::float(OP, "x", x)?;
    check::nonempty(OP, "x", x)?;
    if BODIES.of(&[x]) == Body::Composed {
        return Ok(form.composed(x)?);
    }
    Ok(x.contiguous()?.apply_op1(form)?)
}

/// The same from candle's own operations.
///
/// # Errors
///
/// As [`gelu`].
pub fn reference(x: &Tensor, form: Gelu) -> Result<Tensor> {
    check::float(OP, "x", x)?;
    check::nonempty(OP, "x", x)?;
    Ok(form.composed(x)?)
}

impl Gelu {
    fn activation(self) -> Activation {
        match self {
            Self::Exact => Activation::Gelu,
            Self::Quick => Activation::QuickGelu,
        }
    }

    fn composed(self, x: &Tensor) -> candle_core::Result<Tensor> {
        x * self.gate(x)?
    }

    /// `Φ(x)` or `σ(1.702 x)`.
    fn gate(self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Exact => ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? * 0.5)? + 0.5,
            // e⁻ˣ overflows for large −x and makes 0·∞ in a gradient; tanh does not.
            Self::Quick => ((x * (0.5 * QUICK))?.tanh()? * 0.5)? + 0.5,
        }
    }

    /// The derivative at `x`, differentiable.
    fn slope(self, x: &Tensor) -> candle_core::Result<Tensor> {
        let gate = self.gate(x)?;
        match self {
            Self::Exact => {
                let density = ((x.sqr()? * -0.5)?.exp()? * (std::f64::consts::TAU.sqrt().recip()))?;
                gate + (x * density)?
            }
            Self::Quick => {
                let rest = (x * gate.affine(-QUICK, QUICK)?)?;
                gate * (rest + 1.0)?
            }
        }
    }

    fn forward<T: Element>(self, x: &[T]) -> candle_core::Result<CpuStorage> {
        let (shape, e) = self.epilogue(x.len());
        cpu::filled(x.len(), |y| kernel::forward(&shape, &e, x, y))
    }

    fn cpu_backward(self, x: &Tensor, g: &Tensor) -> candle_core::Result<Tensor> {
        let (x_data, g_data) = (Borrowed::new(x), Borrowed::new(g));
        by_dtype!(x_data.storage()?, OP, T => {
            let gx = self.backward::<T>(x_data.slice()?, g_data.slice()?)?;
            Tensor::from_vec(gx, x.shape(), x.device())
        })
    }

    fn backward<T: Element>(self, x: &[T], g: &[T]) -> candle_core::Result<Vec<T>> {
        let (shape, e) = self.epilogue(x.len());
        let mut gx = cpu::zeros(x.len());
        kernel::backward(&shape, &e, x, g, &mut gx, EpilogueGrads::default())
            .map_err(candle_core::Error::wrap)?;
        Ok(gx)
    }

    /// All elements as planes of one image, so that the kernel shares them out among the threads.
    fn epilogue<'a, T: Element>(self, len: usize) -> (EpilogueShape, Epilogue<'a, T>) {
        let pixels = (0..12)
            .map(|bit| 1 << bit)
            .rfind(|p| len.is_multiple_of(*p))
            .unwrap_or(1);
        let shape = EpilogueShape {
            n: 1,
            channels: len / pixels,
            pixels,
        };
        let e = Epilogue {
            act: self.activation(),
            ..Epilogue::default()
        };
        (shape, e)
    }
}

#[cfg(feature = "cuda")]
impl Gelu {
    fn cuda_epilogue(self, len: usize) -> (EpilogueShape, domex_cuda::plan::Epilogue) {
        let shape = EpilogueShape {
            n: 1,
            channels: 1,
            pixels: len,
        };
        let e = domex_cuda::plan::Epilogue {
            act: self.activation(),
            ..domex_cuda::plan::Epilogue::NONE
        };
        (shape, e)
    }

    fn cuda_backward(self, x: &Tensor, g: &Tensor) -> candle_core::Result<Tensor> {
        use crate::cuda::{Input, Operand, element, run};
        let element = element(x.dtype())?;
        let [x_data, g_data] = [x, g].map(Borrowed::new);
        let operands = vec![
            Operand::Read(Input::of(&x_data)?),
            Operand::Read(Input::of(&g_data)?),
            Operand::New(x.elem_count(), element),
        ];
        let (shape, e) = self.cuda_epilogue(x.elem_count());
        run(
            domex_cuda::plan::epilogue_slope(&shape, &e, element),
            operands,
        )?
        .tensor(x.shape())
    }
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s, OP, T => self.forward::<T>(cpu::slice(s, l)?))?;
        Ok((y, l.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let len = l.shape().elem_count();
        let (shape, e) = self.cuda_epilogue(len);
        let plan = domex_cuda::plan::epilogue_forward(&shape, &e, element_of(s)?);
        let y = compute(plan, &[Input::All(s, l)], 1, len)?;
        Ok((y, l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        match BODIES.gradients_in_one_pass(&[x]) {
            Body::Cpu => self.cpu_backward(x, &g.contiguous()?),
            #[cfg(feature = "cuda")]
            Body::Cuda => self.cuda_backward(x, &g.contiguous()?),
            _ => g * self.slope(x)?,
        }
        .map(Some)
    }
}

#[cfg(test)]
mod tests;

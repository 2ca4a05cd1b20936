//! What is done to parameters after a step, in place: Adam, and a moving average.
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g         v ← β₂ v + (1 − β₂) g²
//! p ← p (1 − lr decay) − lr (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
//! p̄ ← p + β (p̄ − p)
//! ```
//!
//! Adam is Kingma and Ba's (2015), with the decoupled decay of Loshchilov and Hutter (2019), as PyTorch's `Adam` and `AdamW`. Nothing here
//! is differentiable.

use std::cell::RefCell;

use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor, Var};
pub use domex_kernels::adam::Adam;
use domex_kernels::adam::{self as kernel, AdamState};
use rayon::prelude::*;

use crate::{
    Error, Result,
    body::{Bodies, Body},
    check,
    cpu::{self, Element, by_dtype},
};

const ADAM: &str = "adam";
const ADAM_BODIES: Bodies = Bodies::F32;
const AVERAGE: &str = "average";
const AVERAGE_BODIES: Bodies = Bodies::NO_HALF;

/// Both moments of a parameter.
#[derive(Debug)]
pub struct Moments {
    dims: Vec<usize>,
    kept: Kept,
}

/// Where they are: what the kernel of the parameter's device writes to, or tensors.
#[derive(Debug)]
enum Kept {
    Cpu {
        m: Vec<f32>,
        v: Vec<f32>,
    },
    #[cfg(feature = "cuda")]
    Cuda(Box<[candle_core::CudaStorage; 2]>),
    Composed {
        m: Tensor,
        v: Tensor,
    },
}

impl Moments {
    /// Zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`] when there is no room.
    pub fn new(parameter: &Var) -> Result<Self> {
        let zeros = Tensor::zeros(parameter.shape(), parameter.dtype(), &Device::Cpu)?;
        Self::of(parameter, &zeros, &zeros)
    }

    /// `m` and `v`, of the parameter's shape, from any device.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for another shape; [`Error::Candle`] for another element type, or when there is no room.
    pub fn of(parameter: &Var, m: &Tensor, v: &Tensor) -> Result<Self> {
        alike("first moment", m.dims(), parameter)?;
        alike("second moment", v.dims(), parameter)?;
        let floats = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
        let kept = match ADAM_BODIES.of(&[parameter]) {
            Body::Cpu => Kept::Cpu {
                m: floats(m)?,
                v: floats(v)?,
            },
            #[cfg(feature = "cuda")]
            Body::Cuda => {
                use candle_core::backend::BackendDevice;
                let device = parameter.device().as_cuda_device()?;
                let send = |t: &Tensor| device.storage_from_slice(&floats(t)?);
                Kept::Cuda(Box::new([send(m)?, send(v)?]))
            }
            _ => Kept::Composed {
                m: m.to_device(parameter.device())?,
                v: v.to_device(parameter.device())?,
            },
        };
        Ok(Self {
            dims: parameter.dims().to_vec(),
            kept,
        })
    }

    /// Copies of both.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`] when there is no room.
    pub fn tensors(&self) -> Result<[Tensor; 2]> {
        let dims = &self.dims[..];
        Ok(match &self.kept {
            Kept::Cpu { m, v } => [
                Tensor::from_slice(m, dims, &Device::Cpu)?,
                Tensor::from_slice(v, dims, &Device::Cpu)?,
            ],
            #[cfg(feature = "cuda")]
            Kept::Cuda(moments) => {
                use candle_core::{Storage, backend::BackendStorage, op::BackpropOp};
                let copy = |s: &candle_core::CudaStorage| -> candle_core::Result<Tensor> {
                    let storage = Storage::Cpu(s.to_cpu_storage()?);
                    Ok(Tensor::from_storage(
                        storage,
                        dims,
                        BackpropOp::none(),
                        false,
                    ))
                };
                let [m, v] = &**moments;
                [copy(m)?, copy(v)?]
            }
            Kept::Composed { m, v } => [m.copy()?, v.copy()?],
        })
    }
}

/// A step of `how` along `gradient`: parameter and moments move.
///
/// # Errors
///
/// [`Error::Shape`], [`Error::DType`] and [`Error::Device`] when gradient or moments do not fit the parameter.
pub fn adam(how: &Adam, parameter: &Var, moments: &mut Moments, gradient: &Tensor) -> Result<()> {
    alike("moments", &moments.dims, parameter)?;
    alike("gradient", gradient.dims(), parameter)?;
    check::alike(ADAM, "gradient", gradient, parameter)?;
    let gradient = gradient.detach();
    if let Kept::Composed { m, v } = &mut moments.kept {
        let (p, next_m, next_v) =
            composed(how, &parameter.as_detached_tensor(), [&*m, &*v], &gradient)?;
        (*m, *v) = (next_m, next_v);
        return Ok(parameter.set(&p)?);
    }
    let step = Step {
        how,
        kept: RefCell::new(&mut moments.kept),
    };
    Ok(parameter.inplace_op2(&gradient.contiguous()?, &step)?)
}

fn alike(name: &'static str, dims: &[usize], parameter: &Tensor) -> Result<()> {
    if dims == parameter.dims() {
        return Ok(());
    }
    let expected = format!("{:?} as the parameter", parameter.dims());
    Err(Error::shape(ADAM, name, dims, expected))
}

/// Parameter and moments after the step, from candle's operations.
fn composed(
    how: &Adam,
    p: &Tensor,
    [m, v]: [&Tensor; 2],
    g: &Tensor,
) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
    let steps = i32::try_from(how.step).unwrap_or(i32::MAX);
    let m = ((m * how.beta1)? + (g * (1.0 - how.beta1))?)?;
    let v = ((v * how.beta2)? + (g.sqr()? * (1.0 - how.beta2))?)?;
    let root = ((&v / (1.0 - how.beta2.powi(steps)))?.sqrt()? + how.eps)?;
    let change = ((&m * (how.lr / (1.0 - how.beta1.powi(steps))))? / root)?;
    let p = ((p * (1.0 - how.lr * how.decay))? - change)?;
    Ok((p, m, v))
}

/// The kernels as candle's in-place operation: parameter from the gradient, moments on the side.
struct Step<'a> {
    how: &'a Adam,
    kept: RefCell<&'a mut Kept>,
}

impl InplaceOp2 for Step<'_> {
    fn name(&self) -> &'static str {
        ADAM
    }

    fn cpu_fwd(
        &self,
        p: &mut CpuStorage,
        p_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> candle_core::Result<()> {
        let Kept::Cpu { m, v } = &mut **self.kept.borrow_mut() else {
            candle_core::bail!("adam: moments that are not the parameter's")
        };
        let state = AdamState {
            parameters: cpu::slice_mut::<f32>(p, p_layout)?,
            m,
            v,
        };
        kernel::step(self.how, state, cpu::slice(g, g_layout)?).map_err(candle_core::Error::wrap)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        p: &mut candle_core::CudaStorage,
        p_layout: &Layout,
        g: &candle_core::CudaStorage,
        g_layout: &Layout,
    ) -> candle_core::Result<()> {
        use crate::cuda::{Input, Operand, run};
        let Kept::Cuda(moments) = &mut **self.kept.borrow_mut() else {
            candle_core::bail!("adam: moments that are not the parameter's")
        };
        let [m, v] = &mut **moments;
        let len = p_layout.shape().elem_count();
        let flat = Layout::contiguous(len);
        let operands = vec![
            Operand::Written(p, p_layout),
            Operand::Written(m, &flat),
            Operand::Written(v, &flat),
            Operand::Read(Input::All(g, g_layout)),
        ];
        run(domex_cuda::plan::adam(self.how, len), operands)?;
        Ok(())
    }
}

/// Moves `average` so that of its distance to `value`, of the same shape, the share `beta` is left.
///
/// # Errors
///
/// [`Error::Shape`], [`Error::DType`] and [`Error::Device`] when the two are not alike.
pub fn average(average: &Var, value: &Tensor, beta: f64) -> Result<()> {
    check::alike(AVERAGE, "value", value, average)?;
    if value.dims() != average.dims() {
        let expected = format!("{:?} as the average", average.dims());
        return Err(Error::shape(AVERAGE, "value", value.dims(), expected));
    }
    let value = value.detach();
    if AVERAGE_BODIES.of(&[average, &value]) == Body::Composed {
        let old = average.as_detached_tensor();
        let moved = (&value + ((old - &value)? * beta)?)?;
        return Ok(average.set(&moved)?);
    }
    Ok(average.inplace_op2(&value.contiguous()?, &Lerp { beta })?)
}

struct Lerp {
    beta: f64,
}

/// Elements a thread takes at once.
const GRAIN: usize = 1 << 15;

impl Lerp {
    fn run<T: Element>(&self, average: &mut [T], value: &[T]) {
        let beta = T::of(self.beta);
        let parts = average.par_chunks_mut(GRAIN).zip(value.par_chunks(GRAIN));
        parts.for_each(|(average, value)| {
            for (a, &v) in average.iter_mut().zip(value) {
                *a = v + beta * (*a - v);
            }
        });
    }
}

impl InplaceOp2 for Lerp {
    fn name(&self) -> &'static str {
        AVERAGE
    }

    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        average_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> candle_core::Result<()> {
        by_dtype!(value, self.name(), T => {
            let average = cpu::slice_mut::<T>(average, average_layout)?;
            self.run(average, cpu::slice(value, value_layout)?);
            Ok(())
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        average: &mut candle_core::CudaStorage,
        average_layout: &Layout,
        value: &candle_core::CudaStorage,
        value_layout: &Layout,
    ) -> candle_core::Result<()> {
        use crate::cuda::{Input, Operand, run};
        let len = average_layout.shape().elem_count();
        let operands = vec![
            Operand::Written(average, average_layout),
            Operand::Read(Input::All(value, value_layout)),
        ];
        run(domex_cuda::plan::average(self.beta, len), operands)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

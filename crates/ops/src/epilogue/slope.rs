//! The derivative of the epilogue with respect to its argument, as an operator that can be differentiated again.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use domex_kernels::epilogue as kernel;

use super::{Epilogue, OP};
use crate::cpu::{self, Borrowed, by_dtype};

/// `g` to `gz` at constants `x`, `scale` and what is added. Linear in `g`, and its own adjoint.
#[derive(Clone)]
pub(super) struct Slope {
    pub(super) epilogue: Epilogue,
    pub(super) x: Tensor,
    pub(super) scale: Option<Tensor>,
    pub(super) added: Option<Tensor>,
}

impl CustomOp1 for Slope {
    fn name(&self) -> &'static str {
        "epilogue-slope"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Borrowed::new(&self.x);
        let [scale, added] = [&self.scale, &self.added].map(|t| t.as_ref().map(Borrowed::new));
        let gz = by_dtype!(s, OP, T => {
            let scale = scale.as_ref().map(Borrowed::slice::<T>).transpose()?;
            let added = added.as_ref().map(Borrowed::slice::<T>).transpose()?;
            let e = self.epilogue.kernel(scale, added);
            let (x, g) = (x.slice::<T>()?, cpu::slice::<T>(s, l)?);
            cpu::filled(x.len(), |gz| kernel::backward_z(&self.epilogue.shape, &e, x, g, gz))
        })?;
        Ok((gz, l.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let x = Borrowed::new(&self.x);
        let [scale, added] = [&self.scale, &self.added].map(|t| t.as_ref().map(Borrowed::new));
        let scale = scale.as_ref().map(Borrowed::cuda).transpose()?;
        let added = added.as_ref().map(Borrowed::cuda).transpose()?;
        let (x, x_layout) = x.cuda()?;
        let parts = self.epilogue.cuda_parts(3, scale.is_some());
        let mut inputs = vec![Input::All(x, x_layout), Input::All(s, l)];
        inputs.extend(self.epilogue.cuda_inputs(scale, added));
        let (shape, element) = (&self.epilogue.shape, element_of(s)?);
        let plan = domex_cuda::plan::epilogue_slope(shape, &parts, element);
        let gz = compute(plan, &inputs, 2, l.shape().elem_count())?;
        Ok((gz, l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, v: &Tensor) -> Result<Option<Tensor>> {
        v.contiguous()?.apply_op1(self.clone()).map(Some)
    }
}

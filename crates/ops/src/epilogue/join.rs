//! Bias and noise as one operand.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::cpu::{self, by_dtype};

/// Two lines, one behind the other. candle's `cat` gives a gradient also to a frozen one.
pub(super) struct Join;

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let both = by_dtype!(s1, self.name(), T => {
            let both = [cpu::slice::<T>(s1, l1)?, cpu::slice::<T>(s2, l2)?].concat();
            Ok(<T as candle_core::WithDType>::to_cpu_storage_owned(both))
        })?;
        Ok((both, Shape::from(l1.dims()[0] + l2.dims()[0])))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let (first, second) = (l1.dims()[0], l2.dims()[0]);
        let inputs = [Input::All(s1, l1), Input::All(s2, l2)];
        let plan = domex_cuda::plan::join(first, second, element_of(s1)?);
        let both = compute(plan, &inputs, 2, first + second)?;
        Ok((both, Shape::from(first + second)))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (first, second) = (a.elem_count(), b.elem_count());
        let part =
            |t: &Tensor, start, len| t.track_op().then(|| g.narrow(0, start, len)).transpose();
        Ok((part(a, 0, first)?, part(b, first, second)?))
    }
}

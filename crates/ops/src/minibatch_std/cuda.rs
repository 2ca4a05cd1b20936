//! The operator on a CUDA device.

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};
use domex_cuda::plan;

use super::{BODIES, Sets};
use crate::{
    autograd::in_backward,
    body::Body,
    cpu::Borrowed,
    cuda::{Input, Operand, compute, element, element_of, run},
};

impl Sets {
    fn plan(&self) -> plan::MinibatchStd {
        plan::MinibatchStd {
            n: self.n,
            c: self.c,
            sets: self.channels,
            group: self.group,
            pixels: self.pixels,
        }
    }

    fn cuda_backward(&self, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        let (g, element) = (g.contiguous()?, element(x.dtype())?);
        let [x_data, g_data] = [x, &g].map(Borrowed::new);
        let operands = vec![
            Operand::Read(Input::of(&x_data)?),
            Operand::Read(Input::of(&g_data)?),
            Operand::New(x.elem_count(), element),
        ];
        run(
            plan::minibatch_std_backward(&self.plan(), element),
            operands,
        )?
        .tensor(x.shape())
    }
}

impl CustomOp1 for Sets {
    fn name(&self) -> &'static str {
        "minibatch_std"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("minibatch_std: on the CPU it is composed")
    }

    fn cuda_fwd(&self, s: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        let (n, c, h, w) = l.shape().dims4()?;
        let shape = Shape::from((n, c + self.channels, h, w));
        let plan = plan::minibatch_std(&self.plan(), element_of(s)?);
        let y = compute(plan, &[Input::All(s, l)], 1, shape.elem_count())?;
        Ok((y, shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        match BODIES.gradients_in_one_pass(&[x]) {
            Body::Cuda => self.cuda_backward(x, g),
            _ => self.gradient(&in_backward(x), g),
        }
        .map(Some)
    }
}

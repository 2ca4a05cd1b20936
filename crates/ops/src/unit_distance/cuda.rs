//! The distance on a CUDA device.

use candle_core::{CudaStorage, Layout, Result, Shape, Tensor};
use domex_cuda::plan;

use super::Distance;
use crate::{
    cpu::Borrowed,
    cuda::{Input, Operand, compute, element, element_of, run},
};

impl Distance {
    pub(super) fn cuda_forward(
        &self,
        (s1, l1): (&CudaStorage, &Layout),
        (s2, l2): (&CudaStorage, &Layout),
    ) -> Result<(CudaStorage, Shape)> {
        let weight = self.weight.as_ref().map(Borrowed::new);
        let mut inputs = vec![Input::All(s1, l1), Input::All(s2, l2)];
        inputs.extend(weight.as_ref().map(Input::of).transpose()?);
        let plan = plan::unit_distance(&self.shape, weight.is_some(), element_of(s1)?);
        let (n, _, h, w) = l1.shape().dims4()?;
        let y = compute(plan, &inputs, 2, n * h * w)?;
        Ok((y, Shape::from((n, 1, h, w))))
    }

    /// The gradients that are wanted, in one pass.
    pub(super) fn cuda_backward(
        &self,
        a: &Tensor,
        b: &Tensor,
        g: &Tensor,
        wanted: [bool; 2],
    ) -> Result<[Option<Tensor>; 2]> {
        let (g, element) = (g.contiguous()?, element(a.dtype())?);
        let data = [a, b, &g].map(Borrowed::new);
        let weight = self.weight.as_ref().map(Borrowed::new);
        let read = data.iter().map(|t| Input::of(t).map(Operand::Read));
        let mut operands = read.collect::<Result<Vec<_>>>()?;
        let made = wanted.into_iter().filter(|wanted| *wanted);
        operands.extend(made.map(|_| Operand::New(a.elem_count(), element)));
        let weighted = weight.as_ref().map(Input::of).transpose()?;
        let plan = plan::unit_distance_backward(&self.shape, weighted.is_some(), wanted, element);
        operands.extend(weighted.map(Operand::Read));
        let mut made = run(plan, operands)?;
        let mut next = |wanted: bool| wanted.then(|| made.tensor(a.shape())).transpose();
        Ok([next(wanted[0])?, next(wanted[1])?])
    }
}

//! The epilogue on a CUDA device: its operands in the order of a plan.

use std::ops::Range;

use candle_core::{CudaStorage, Layout, Result, Shape, Tensor};
use domex_cuda::{Buffer, plan};
use domex_kernels::{Activation, epilogue::EpilogueShape};

use super::{Curve, Epilogue, Gradients, Part};
use crate::{
    cpu::Borrowed,
    cuda::{Input, Operand, compute, element, element_of, run},
    upfirdn2d::Resample,
};

impl Curve {
    /// The curve alone, as the kernels take it.
    pub(crate) fn cuda(self) -> plan::Epilogue {
        plan::Epilogue {
            act: if self.negative == 1.0 {
                Activation::Linear
            } else {
                Activation::Lrelu {
                    alpha: self.negative,
                }
            },
            gain: self.gain,
            clamp: self.clamp,
            ..plan::Epilogue::NONE
        }
    }
}

impl Epilogue {
    /// The curve, and where its small operands are in a plan: from number `first` on, scale, noise, bias.
    pub(super) fn cuda_parts(&self, first: usize, scaled: bool) -> plan::Epilogue {
        let mut next = first;
        let mut take = |there: bool| {
            next += usize::from(there);
            there.then(|| Buffer(next - 1))
        };
        let scale = take(scaled);
        let noise = take(self.noise.len > 0).map(|at| match self.noise.len == self.shape.pixels {
            true => plan::Noise::Shared(at),
            false => plan::Noise::Each(at),
        });
        plan::Epilogue {
            scale,
            noise,
            bias: take(self.bias.len > 0),
            ..self.curve.cuda()
        }
    }

    /// The small operands in the order of [`Self::cuda_parts`].
    pub(super) fn cuda_inputs<'a>(
        &self,
        scale: Option<(&'a CudaStorage, &'a Layout)>,
        added: Option<(&'a CudaStorage, &'a Layout)>,
    ) -> Vec<Input<'a>> {
        let (bias, noise) = (self.bias.len, self.noise.len);
        let part = |range: Range<usize>| {
            let of = added.filter(|_| !range.is_empty());
            of.map(|(s, l)| Input::Part(s, l, range))
        };
        let scale = scale.map(|(s, l)| Input::All(s, l));
        [scale, part(bias..bias + noise), part(0..bias)]
            .into_iter()
            .flatten()
            .collect()
    }

    pub(super) fn cuda_forward(
        &self,
        (s, l): (&CudaStorage, &Layout),
        scale: Option<(&CudaStorage, &Layout)>,
        added: Option<(&CudaStorage, &Layout)>,
    ) -> Result<(CudaStorage, Shape)> {
        let EpilogueShape {
            n,
            channels,
            pixels,
        } = self.shape;
        let mut shape = l.shape().clone().into_dims();
        let mut inputs = vec![Input::All(s, l)];
        let element = element_of(s)?;
        let taps = self.filter.as_ref().map(Resample::cuda_taps);
        let plan = match (&self.filter, &taps) {
            (Some(filter), Some(taps)) => {
                inputs.push(Input::Floats(taps));
                shape[2..].copy_from_slice(&filter.size());
                let parts = self.cuda_parts(3, scale.is_some());
                plan::upfirdn2d_epilogue(filter.shape(), &self.shape, &parts, element, false)
            }
            _ => {
                let parts = self.cuda_parts(2, scale.is_some());
                plan::epilogue_forward(&self.shape, &parts, element)
            }
        };
        let output = inputs.len();
        inputs.extend(self.cuda_inputs(scale, added));
        let y = compute(plan, &inputs, output, n * channels * pixels)?;
        Ok((y, Shape::from(shape)))
    }
    /// All gradients that are wanted, and that of x, in one pass.
    pub(super) fn cuda_backward(
        &self,
        x: &Tensor,
        scale: Option<&Tensor>,
        added: Option<&Tensor>,
        g: &Tensor,
    ) -> Result<Gradients> {
        let (g, element) = (g.contiguous()?, element(x.dtype())?);
        let [x_data, g_data] = [x, &g].map(Borrowed::new);
        let [scale_data, added_data] = [scale, added].map(|t| t.map(Borrowed::new));
        let scale_data = scale_data.as_ref().map(Borrowed::cuda).transpose()?;
        let added_data = added_data.as_ref().map(Borrowed::cuda).transpose()?;
        let tracked = scale.filter(|scale| scale.track_op());
        let wanted = [tracked.is_some(), self.bias.wanted, self.noise.wanted];
        let lens = [
            self.shape.n * self.shape.channels,
            self.bias.len,
            self.noise.len,
        ];
        let made = wanted.into_iter().zip(lens).filter(|(wanted, _)| *wanted);
        let mut operands = vec![
            Operand::Read(Input::of(&x_data)?),
            Operand::Read(Input::of(&g_data)?),
            Operand::New(x.elem_count(), element),
        ];
        operands.extend(made.map(|(_, len)| Operand::New(len, element)));
        let parts = self.cuda_parts(operands.len(), scale.is_some());
        let small = self.cuda_inputs(scale_data, added_data);
        operands.extend(small.into_iter().map(Operand::Read));
        let plan = plan::epilogue_backward(&self.shape, &parts, wanted, element);
        let mut made = run(plan, operands)?;
        let for_x = made.tensor(x.shape())?;
        let for_scale = tracked
            .map(|scale| made.tensor(scale.shape()))
            .transpose()?;
        let mut part = |part: Part| {
            let made = || made.tensor(&Shape::from(part.len));
            part.wanted.then(made).transpose()
        };
        let parts = [part(self.bias)?, part(self.noise)?];
        let for_added = match added.filter(|added| added.track_op()) {
            Some(_) => Some(self.for_added(&for_x, parts)?),
            None => None,
        };
        Ok((x.track_op().then_some(for_x), for_scale, for_added))
    }
}

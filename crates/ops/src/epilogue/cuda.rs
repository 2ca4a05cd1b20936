//! The epilogue on a CUDA device: its operands in the order of a plan.

use std::ops::Range;

use candle_core::{CudaStorage, Layout, Result, Shape};
use domex_cuda::{Buffer, plan};
use domex_kernels::{Activation, epilogue::EpilogueShape};

use super::{Curve, Epilogue};
use crate::{
    cuda::{Input, compute},
    upfirdn2d::Resample,
};

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
        let Curve {
            negative: alpha,
            gain,
            clamp,
        } = self.curve;
        plan::Epilogue {
            scale,
            noise,
            bias: take(self.bias.len > 0),
            act: if alpha == 1.0 {
                Activation::Linear
            } else {
                Activation::Lrelu { alpha }
            },
            gain,
            clamp,
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
        let taps = self.filter.as_ref().map(Resample::cuda_taps);
        let plan = match (&self.filter, &taps) {
            (Some(filter), Some(taps)) => {
                inputs.push(Input::Floats(taps));
                shape[2..].copy_from_slice(&filter.size());
                let parts = self.cuda_parts(3, scale.is_some());
                plan::upfirdn2d_epilogue(filter.shape(), &self.shape, &parts)
            }
            _ => plan::epilogue_forward(&self.shape, &self.cuda_parts(2, scale.is_some())),
        };
        let output = inputs.len();
        inputs.extend(self.cuda_inputs(scale, added));
        let y = compute(plan, &inputs, output, n * channels * pixels)?;
        Ok((y, Shape::from(shape)))
    }
}

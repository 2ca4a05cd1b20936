//! The normalisations on a CUDA device: sizes as the plans take them, and all gradients in one pass.

use candle_core::{Result, Tensor};
use domex_cuda::plan;

use super::{Affine, Line, NormaliseAffine};
use crate::{
    cpu::Borrowed,
    cuda::{Input, Operand, element, run},
};

impl Affine {
    /// The same for the CUDA kernels.
    pub(super) fn cuda(&self) -> plan::Affine {
        plan::Affine {
            channels: self.channels,
            repeat: self.repeat,
        }
    }
}

impl Line {
    /// The same for the CUDA kernels.
    pub(super) fn cuda(&self) -> plan::Line {
        plan::Line {
            outer: self.axis.outer,
            len: self.axis.len,
            inner: self.axis.inner,
            centre: self.centre,
            eps: self.eps,
        }
    }
}

impl NormaliseAffine {
    /// All gradients in one pass on a device. Those of weight and bias come together, where one is wanted.
    pub(super) fn cuda_backward(
        &self,
        [x, weight, bias]: [&Tensor; 3],
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [x_data, g_data, weight_data] = [x, g, weight].map(Borrowed::new);
        let element = element(x.dtype())?;
        let wanted = weight.track_op() || bias.track_op();
        let mut operands = vec![
            Operand::Read(Input::of(&x_data)?),
            Operand::Read(Input::of(&g_data)?),
            Operand::New(x.elem_count(), element),
            Operand::Read(Input::of(&weight_data)?),
        ];
        if wanted {
            let made = [weight, bias].map(|t| Operand::New(t.elem_count(), element));
            operands.extend(made);
        }
        let affine = Some(self.affine.cuda());
        let plan = plan::norm_backward(&self.line.cuda(), affine, wanted, element);
        let mut made = run(plan, operands)?;
        let for_x = made.tensor(x.shape())?;
        if !wanted {
            return Ok((Some(for_x), None, None));
        }
        let (for_weight, for_bias) = (made.tensor(weight.shape())?, made.tensor(bias.shape())?);
        Ok((
            Some(for_x),
            weight.track_op().then_some(for_weight),
            bias.track_op().then_some(for_bias),
        ))
    }
}

//! A convolution and all around it in one kernel, which has no gradient.

use candle_core::{Result, Tensor};
use domex_cuda::{Buffer, plan};
use domex_kernels::conv::ConvShape;

use crate::{
    cpu::Borrowed,
    cuda::{Input, Operand, run},
    epilogue::Curve,
};

/// `clamp(gain · act(conv(x · style, w) · scale + noise + bias))`. The shapes have been checked, and nothing tracks.
pub(crate) struct Fused<'a> {
    /// Factors of the input `[n, c_in]`.
    pub(crate) style: Option<&'a Tensor>,
    /// Factors of the result `[n, c_out]`.
    pub(crate) scale: Option<&'a Tensor>,
    /// The same for all channels: of `n·h·w` or `h·w` elements of the result's size.
    pub(crate) noise: Option<&'a Tensor>,
    /// `[c_out]`.
    pub(crate) bias: Option<&'a Tensor>,
    /// What comes last.
    pub(crate) curve: Curve,
}

impl Fused<'_> {
    /// The result for `x: [n, c_in, h, w]` and `weight: [c_out, c_in, kh, kw]`.
    pub(crate) fn run(&self, s: &ConvShape, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let pixels = s.out_h() * s.out_w();
        let mut tensors = vec![x.contiguous()?, weight.contiguous()?];
        // Number 2 is the result.
        let mut add = |t: Option<&Tensor>| -> Result<Option<Buffer>> {
            let Some(t) = t else { return Ok(None) };
            tensors.push(t.contiguous()?);
            Ok(Some(Buffer(tensors.len())))
        };
        let style = add(self.style)?;
        let epilogue = plan::Epilogue {
            scale: add(self.scale)?,
            noise: match self.noise {
                Some(noise) if noise.elem_count() == pixels => {
                    add(Some(noise))?.map(plan::Noise::Shared)
                }
                noise => add(noise)?.map(plan::Noise::Each),
            },
            bias: add(self.bias)?,
            ..self.curve.cuda()
        };
        let data: Vec<_> = tensors.iter().map(Borrowed::new).collect();
        let read = data.iter().map(|t| Input::of(t).map(Operand::Read));
        let mut operands = read.collect::<Result<Vec<_>>>()?;
        operands.insert(2, Operand::New(s.y_len()));
        let plan = plan::conv_forward(s, &plan::Fused { style, epilogue });
        run(plan, operands)?.tensor(&(s.n, s.c_out, s.out_h(), s.out_w()).into())
    }
}

/// The factors of demodulation `[n, c_out]` for `weight: [c_out, c_in, kh, kw]` and `styles: [n, c_in]`, of at most
/// [`plan::MOST_CHANNELS`] input channels. Nothing tracks.
pub(crate) fn demodulation(weight: &Tensor, styles: &Tensor) -> Result<Tensor> {
    let (c_out, c_in, kh, kw) = weight.dims4()?;
    let n = styles.dim(0)?;
    let tensors = [weight.contiguous()?, styles.contiguous()?];
    let [weight, styles] = [&tensors[0], &tensors[1]].map(Borrowed::new);
    let operands = vec![
        Operand::Read(Input::of(&weight)?),
        Operand::Read(Input::of(&styles)?),
        Operand::New(n * c_out),
    ];
    let plan = plan::demodulation(n, c_in, c_out, kh * kw);
    run(plan, operands)?.tensor(&(n, c_out).into())
}

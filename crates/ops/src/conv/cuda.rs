//! Who multiplies, and a convolution and all around it in one kernel, which has no gradient.

use candle_core::{DType, Result, Tensor};
use domex_cuda::{
    Buffer, Element, Plan,
    plan::{self, Products},
};
use domex_kernels::{conv::ConvShape, epilogue::EpilogueShape};

use crate::{
    cpu::Borrowed,
    cuda::{Input, Operand, Results, element, run},
    epilogue::Curve,
    tf32,
    upfirdn2d::Resample,
};

/// What multiplies operands of `dtype`: tensor cores, where the card has them, for the half types, which lose nothing by it, and for
/// float32 if `tf32` allows.
pub(super) fn products(dtype: DType, tf32: bool) -> Result<Products> {
    let element = element(dtype)?;
    Ok(Products {
        element,
        tensor_cores: (tf32 || element != Element::F32) && domex_cuda::compile::tensor_cores(),
    })
}

/// `clamp(gain · act(conv(x · style, w) · scale + noise + bias))`. The shapes have been checked, and nothing tracks. x and w may be of a half
/// type, and the result is; all else becomes float32, as it is small.
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
    /// The result for `x: [n, c_in, h, w]` and `weight: [c_out, c_in, kh, kw]`, which may be of a half type.
    pub(crate) fn run(&self, s: &ConvShape, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let products = products(x.dtype(), tf32::allowed())?;
        let mut small = Small::default();
        let style = small.add(self.style)?;
        let epilogue = self.epilogue(&mut small, s.out_h() * s.out_w())?;
        let plan = plan::conv_forward(s, &plan::Fused { style, epilogue }, products);
        let operands = [x.contiguous()?, weight.contiguous()?];
        let made = Operand::New(s.y_len(), products.element);
        let mut made = small.run(plan, &operands, &[], made)?;
        made.tensor(&(s.n, s.c_out, s.out_h(), s.out_w()).into())
    }

    /// The transposed convolution of `x: [n, c_out, out_h, out_w]` times the style with `weight: [c_out, c_in, kh, kw]`, of the sizes of
    /// its adjoint `s`, in float32: [`Self::finish`] has the rest.
    pub(crate) fn transposed(&self, s: &ConvShape, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let products = products(x.dtype(), tf32::allowed())?;
        let mut small = Small::default();
        let style = small.add(self.style)?;
        let plan = plan::conv_transposed(s, style.is_some(), products);
        let operands = [weight.contiguous()?, x.contiguous()?];
        let mut made = small.run(plan, &operands, &[], Operand::floats(s.x_len()))?;
        made.tensor(&(s.n, s.c_in, s.h, s.w).into())
    }

    /// What follows the convolution `y`, which is float32: `filter`, and the epilogue, as elements of `dtype`.
    pub(crate) fn finish(&self, y: &Tensor, filter: &Resample, dtype: DType) -> Result<Tensor> {
        let (n, channels, ..) = y.dims4()?;
        let [h, w] = filter.size();
        let shape = EpilogueShape {
            n,
            channels,
            pixels: h * w,
        };
        let mut small = Small::default();
        let epilogue = self.epilogue(&mut small, h * w)?;
        let element = element(dtype)?;
        let plan = plan::upfirdn2d_epilogue(filter.shape(), &shape, &epilogue, element, true);
        let made = Operand::New(n * channels * h * w, element);
        let mut made = small.run(plan, &[y.contiguous()?], &filter.cuda_taps(), made)?;
        made.tensor(&(n, channels, h, w).into())
    }

    /// The epilogue, with its operands after those that `small` has.
    fn epilogue(&self, small: &mut Small, pixels: usize) -> Result<plan::Epilogue> {
        Ok(plan::Epilogue {
            scale: small.add(self.scale)?,
            noise: match self.noise {
                Some(noise) if noise.elem_count() == pixels => {
                    small.add(Some(noise))?.map(plan::Noise::Shared)
                }
                noise => small.add(noise)?.map(plan::Noise::Each),
            },
            bias: small.add(self.bias)?,
            ..self.curve.cuda()
        })
    }
}

/// Operands that the kernels take as float32. They follow the result, which is number 2.
#[derive(Default)]
struct Small(Vec<Tensor>);

impl Small {
    /// The number of `t` as an operand.
    fn add(&mut self, t: Option<&Tensor>) -> Result<Option<Buffer>> {
        let Some(t) = t else { return Ok(None) };
        self.0.push(t.to_dtype(DType::F32)?.contiguous()?);
        Ok(Some(Buffer(2 + self.0.len())))
    }

    /// Runs `plan` on `operands`, on `numbers` if there are any, and on these.
    fn run(
        &self,
        plan: domex_cuda::Result<Plan>,
        operands: &[Tensor],
        numbers: &[f32],
        made: Operand<'_>,
    ) -> Result<Results> {
        let borrowed =
            |tensors| -> Vec<Borrowed<'_>> { Iterator::map(tensors, Borrowed::new).collect() };
        let (operands, small) = (borrowed(operands.iter()), borrowed(self.0.iter()));
        let read = |t| Input::of(t).map(Operand::Read);
        let mut all = operands.iter().map(read).collect::<Result<Vec<_>>>()?;
        if !numbers.is_empty() {
            all.push(Operand::Read(Input::Floats(numbers)));
        }
        all.push(made);
        for t in &small {
            all.push(read(t)?);
        }
        run(plan, all)
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
        Operand::floats(n * c_out),
    ];
    let plan = plan::demodulation(n, c_in, c_out, kh * kw);
    run(plan, operands)?.tensor(&(n, c_out).into())
}

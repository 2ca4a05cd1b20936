//! What follows a convolution, in one pass over the feature map, and one pass back.
//!
//! `y = clamp(gain · act(x · scale + bias + noise))` with a piecewise linear `act`: the identity above 0,
//! a slope of its own below. `x: [n, c, h, w]`, `scale: [n, c]`, `bias: [c]`, `noise` the same for
//! all channels. Each part may be absent. The low-pass filter that follows a transposed convolution is run over x before, in the
//! same pass. float32 and float64 on the CPU, float32 on a CUDA device.
//!
//! # Derivatives
//!
//! With `z` the argument of `act` and `g` the incoming gradient, `gz = g · gain · act'(z)`, zero beyond the
//! clamp; then `∂x = gz · scale`, `∂scale = Σ_p gz · x`, `∂bias = Σ_{n, p} gz` and `∂noise = Σ_c gz`. One
//! kernel computes all that are wanted. Where the graph is kept the same is put together from
//! differentiable operators. `act'` is constant almost everywhere, so `gz` is linear in `g` and its own
//! derivative, and any order is exact.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod join;
mod slope;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use domex_kernels::epilogue::EpilogueShape;

use crate::{
    autograd::in_backward,
    body::{Bodies, Body},
    channels::{self, channel_sum, sum_outer},
    upfirdn2d::Resample,
};
use join::Join;
use slope::Slope;

const OP: &str = "epilogue";
const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// `clamp(gain · act(z))`, with `act(z) = z` above 0 and `negative · z` below.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curve {
    /// Slope for negative values.
    pub(crate) negative: f64,
    /// Factor after the activation.
    pub(crate) gain: f64,
    /// Largest magnitude of the result.
    pub(crate) clamp: Option<f64>,
}

impl Curve {
    /// Nothing at all.
    pub(crate) const IDENTITY: Self = Self {
        negative: 1.0,
        gain: 1.0,
        clamp: None,
    };

    pub(crate) fn is_identity(self) -> bool {
        self.is_linear() && self.gain == 1.0
    }

    fn is_linear(self) -> bool {
        self.negative == 1.0 && self.clamp.is_none()
    }

    /// The curve of `x` of any shape, plus `bias` along dimension `dim`.
    pub(crate) fn of(self, x: &Tensor, bias: Option<&Tensor>, dim: usize) -> Result<Tensor> {
        if bias.is_none() && self.is_identity() {
            return Ok(x.clone());
        }
        let x = x.contiguous()?;
        let inner: usize = match bias {
            Some(_) => x.dims()[dim + 1..].iter().product(),
            None => 1,
        };
        let Some(bias) = bias.filter(|_| inner > 1) else {
            // A bias along the last dimension is to the kernel a noise that all rows share.
            let pixels = bias.map_or(x.dims().last().copied().unwrap_or(1), Tensor::elem_count);
            let shape = EpilogueShape {
                n: 1,
                channels: x.elem_count() / pixels,
                pixels,
            };
            let Some(noise) = bias else {
                return x.apply_op1(Epilogue::new(self, shape));
            };
            let op = Epilogue {
                noise: Part::of(noise),
                ..Epilogue::new(self, shape)
            };
            return x.apply_op2(&noise.contiguous()?, op);
        };
        let channels = bias.elem_count();
        let shape = EpilogueShape {
            n: x.elem_count() / (channels * inner),
            channels,
            pixels: inner,
        };
        let op = Epilogue {
            bias: Part::of(bias),
            ..Epilogue::new(self, shape)
        };
        x.apply_op2(&bias.contiguous()?, op)
    }

    /// The curve of `x · scale + bias + noise` for `x: [n, c, h, w]`, which `filter` is run over before, `scale: [n, c]`,
    /// `bias: [c]`, and `noise` of `n·h·w` or `h·w` elements of the filtered size. The shapes have been checked.
    pub(crate) fn after_convolution(
        self,
        x: &Tensor,
        filter: Option<Resample>,
        scale: Option<&Tensor>,
        noise: Option<&Tensor>,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let [h, w] = filter.as_ref().map_or([h, w], Resample::size);
        let noise = noise.map(Tensor::flatten_all).transpose()?;
        let op = Epilogue {
            bias: bias.map_or(Part::default(), Part::of),
            noise: noise.as_ref().map_or(Part::default(), Part::of),
            filter,
            ..Epilogue::new(
                self,
                EpilogueShape {
                    n,
                    channels: c,
                    pixels: h * w,
                },
            )
        };
        let added = match (bias, noise) {
            (None, None) => None,
            (Some(t), None) => Some(t.contiguous()?),
            (None, Some(t)) => Some(t.contiguous()?),
            (Some(bias), Some(noise)) => {
                Some(bias.contiguous()?.apply_op2(&noise.contiguous()?, Join)?)
            }
        };
        match (scale, added) {
            (None, None) if op.filter.is_none() => self.of(x, None, 1),
            (None, None) => x.contiguous()?.apply_op1(op),
            (None, Some(added)) => x.contiguous()?.apply_op2(&added, op),
            (Some(scale), added) => {
                let added = match added {
                    Some(added) => added,
                    None => {
                        // A device has no memory of no bytes.
                        let len = usize::from(BODIES.of(&[x]) == Body::Cuda);
                        Tensor::zeros(len, x.dtype(), x.device())?
                    }
                };
                x.contiguous()?.apply_op3(&scale.contiguous()?, &added, op)
            }
        }
    }
}

/// A part of the operand that is added to x.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    len: usize,
    /// Whether it tracks.
    wanted: bool,
}

impl Part {
    fn of(t: &Tensor) -> Self {
        Self {
            len: t.elem_count(),
            wanted: t.track_op(),
        }
    }
}

/// The operator. An operator has three operands at most, so bias and noise come as one, bias first.
#[derive(Debug, Clone)]
struct Epilogue {
    /// What is run over x before, in the same pass.
    filter: Option<Resample>,
    curve: Curve,
    shape: EpilogueShape,
    bias: Part,
    noise: Part,
}

/// Gradients of x, scale, and what is added.
type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl Epilogue {
    fn new(curve: Curve, shape: EpilogueShape) -> Self {
        Self {
            filter: None,
            curve,
            shape,
            bias: Part::default(),
            noise: Part::default(),
        }
    }

    fn backward(
        &self,
        x: &Tensor,
        scale: Option<&Tensor>,
        added: Option<&Tensor>,
        g: &Tensor,
    ) -> Result<Gradients> {
        if let Some(filter) = &self.filter {
            // x is filtered anew, which costs less than keeping the result.
            let filtered = x.contiguous()?.apply_op1(filter.clone())?;
            let rest = Self {
                filter: None,
                ..self.clone()
            };
            let (for_filtered, for_scale, for_added) = rest.backward(&filtered, scale, added, g)?;
            let for_x = match for_filtered {
                Some(g) => Some(g.contiguous()?.apply_op1(filter.adjoint())?),
                None => None,
            };
            return Ok((for_x, for_scale, for_added));
        }
        // Without a curve there is nothing to compute for x but the scale.
        if scale.is_none() && self.curve.is_identity() {
            return self.composed(x, scale, added, g);
        }
        match BODIES.gradients_in_one_pass(&[x]) {
            Body::Cpu => self.cpu_backward(x, scale, added, g),
            // For x alone one operator is composed, too.
            #[cfg(feature = "cuda")]
            Body::Cuda if scale.is_some() || self.bias.wanted || self.noise.wanted => {
                self.cuda_backward(x, scale, added, g)
            }
            _ => self.composed(x, scale, added, g),
        }
    }

    /// The gradient of what is added, from those of bias and noise. In the place of one that nobody wants are zeros, as `like`.
    fn for_added(&self, like: &Tensor, parts: [Option<Tensor>; 2]) -> Result<Tensor> {
        let zeros = |part: Part| Tensor::zeros(part.len, like.dtype(), like.device());
        let [bias, noise] = parts;
        let bias = || bias.map_or_else(|| zeros(self.bias), Ok);
        let noise = || noise.map_or_else(|| zeros(self.noise), Ok);
        match (self.bias.len, self.noise.len) {
            (_, 0) => bias(),
            (0, _) => noise(),
            _ => bias()?.apply_op2(&noise()?, Join),
        }
    }

    /// The gradients from differentiable operators.
    fn composed(
        &self,
        x: &Tensor,
        scale: Option<&Tensor>,
        added: Option<&Tensor>,
        g: &Tensor,
    ) -> Result<Gradients> {
        let gz = if self.curve.is_identity() {
            g.clone()
        } else if self.curve.is_linear() {
            g.affine(self.curve.gain, 0.0)?
        } else {
            let slope = Slope {
                epilogue: self.clone(),
                x: x.detach(),
                scale: scale.map(Tensor::detach),
                added: added.map(Tensor::detach),
            };
            g.contiguous()?.apply_op1(slope)?
        };
        let for_added = || {
            let EpilogueShape {
                n,
                channels,
                pixels,
            } = self.shape;
            let gz = gz.reshape((n, channels, 1, pixels))?;
            let noise = |len: usize| sum_outer(&gz, len)?.reshape(len);
            let (bias, noise) = (
                self.bias.wanted.then(|| channel_sum(&gz, 1)).transpose()?,
                self.noise
                    .wanted
                    .then(|| noise(self.noise.len))
                    .transpose()?,
            );
            self.for_added(&gz, [bias, noise])
        };
        let for_x = match scale {
            _ if !x.track_op() => None,
            Some(scale) => Some(channels::scale(&gz, &in_backward(scale))?),
            None => Some(gz.clone()),
        };
        let for_scale = match scale.filter(|s| s.track_op()) {
            Some(_) => Some(channels::dot(&gz, &in_backward(x))?),
            None => None,
        };
        let for_added = match added.filter(|t| t.track_op()) {
            Some(_) => Some(for_added()?),
            None => None,
        };
        Ok((for_x, for_scale, for_added))
    }
}

impl CustomOp1 for Epilogue {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        self.cpu_forward((s, l), None, None)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        self.cuda_forward((s, l), None, None)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.backward(x, None, None, g)?.0)
    }
}

/// `x` and what is added to it.
impl CustomOp2 for Epilogue {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.cpu_forward((s1, l1), None, Some((s2, l2)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        self.cuda_forward((s1, l1), None, Some((s2, l2)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        added: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (for_x, _, for_added) = self.backward(x, None, Some(added), g)?;
        Ok((for_x, for_added))
    }
}

/// `x`, its scale, and what is added.
impl CustomOp3 for Epilogue {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.cpu_forward((s1, l1), Some((s2, l2)), Some((s3, l3)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
        s3: &candle_core::CudaStorage,
        l3: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        self.cuda_forward((s1, l1), Some((s2, l2)), Some((s3, l3)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        added: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<Gradients> {
        self.backward(x, Some(scale), Some(added), g)
    }
}

#[cfg(test)]
mod tests;

//! The bodies of the normalisations and their derivatives. Formulas: the [parent module](super).

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor,
};

use domex_kernels::rows::{self, LayerNorm, RowsShape};

use super::BODIES;
use crate::{
    autograd::in_backward,
    axis::{self, Axis},
    body::Body,
    cpu::{self, Borrowed, Element, by_dtype},
};

/// Which lines are normalised, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) axis: Axis,
    /// Whether the mean is subtracted.
    pub(super) centre: bool,
    pub(super) eps: f64,
}

/// Where weight and bias belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine {
    /// Their dimension in the input.
    pub(super) dim: usize,
    /// Their length.
    pub(super) channels: usize,
    /// Elements in memory that share one channel.
    pub(super) repeat: usize,
}

impl Affine {
    /// `t: [channels]` with ones around, to be broadcast over the shape of `x`.
    fn spread(&self, t: &Tensor, x: &Tensor) -> Result<Tensor> {
        let mut dims = vec![1; x.rank()];
        dims[self.dim] = self.channels;
        t.reshape(dims)
    }

    /// The sum of `t` over all but the channels, `[channels]`.
    fn sum(&self, t: &Tensor) -> Result<Tensor> {
        let blocks = t.elem_count() / (self.channels * self.repeat);
        let t = t.reshape((blocks, self.channels, self.repeat))?;
        if self.repeat == 1 {
            t.squeeze(2)?.sum(0)
        } else {
            t.sum(2)?.sum(0)
        }
    }
}

impl Line {
    /// `y`, by a kernel.
    pub(super) fn normalise(self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(Normalise(self))
    }

    /// `weight · y + bias`, by a kernel.
    pub(super) fn normalise_affine(
        self,
        x: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        affine: &Affine,
    ) -> Result<Tensor> {
        if weight.is_none() && bias.is_none() {
            return self.normalise(x);
        }
        let or = |given: Option<&Tensor>, value: f64| match given {
            Some(t) => t.contiguous(),
            None => Tensor::full(value, affine.channels, x.device())?.to_dtype(x.dtype()),
        };
        let op = NormaliseAffine {
            line: self,
            affine: *affine,
        };
        x.contiguous()?
            .apply_op3(&or(weight, 1.0)?, &or(bias, 0.0)?, op)
    }

    /// `J g`, by a kernel.
    pub(super) fn gradient(self, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        x.contiguous()?
            .apply_op2(&g.contiguous()?, NormaliseGrad(self))
    }

    /// `y` from candle's operations. Half precision is left for f32: it cannot hold the sums of a long
    /// line.
    pub(super) fn normalise_reference(&self, x: &Tensor) -> Result<Tensor> {
        let (y, _) = self.parts(&self.axis.view(&wide(x)?)?)?;
        y.reshape(x.shape())
    }

    /// `y` and `r` of `x: [outer, len, inner]`.
    fn parts(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = if self.centre {
            x.broadcast_sub(&Axis::mean(x)?)?
        } else {
            x.clone()
        };
        let r = (Axis::mean(&x.sqr()?)? + self.eps)?.sqrt()?.recip()?;
        Ok((x.broadcast_mul(&r)?, r))
    }

    /// `weight · y + bias` from candle's operations.
    pub(super) fn reference(
        &self,
        x: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        affine: &Affine,
    ) -> Result<Tensor> {
        let mut y = self.normalise_reference(x)?;
        if let Some(weight) = weight {
            y = y.broadcast_mul(&affine.spread(&wide(weight)?, x)?)?;
        }
        if let Some(bias) = bias {
            y = y.broadcast_add(&affine.spread(&wide(bias)?, x)?)?;
        }
        y.to_dtype(x.dtype())
    }

    /// The sizes for the kernel of layer norms, where that serves.
    fn rows(&self) -> Option<RowsShape> {
        self.axis.rows().filter(|_| self.centre)
    }

    /// A layer norm as the kernel has it.
    fn layer<'a, T>(&self, weight: Option<&'a [T]>, bias: Option<&'a [T]>) -> LayerNorm<'a, T> {
        LayerNorm {
            weight,
            bias,
            eps: self.eps,
        }
    }

    /// `μ` and `r` of one line.
    fn moments<T: Element>(&self, x: &[T]) -> (T, T) {
        let d = x.len() as f64;
        let mean = if self.centre {
            T::of(axis::sum(x, x, |v, _| v) / d)
        } else {
            T::default()
        };
        let square = axis::sum(x, x, |v, _| (v - mean) * (v - mean)) / d;
        (mean, T::of(1.0 / (square + self.eps).sqrt()))
    }
}

/// Half precision as f32, anything else as it is.
fn wide(t: &Tensor) -> Result<Tensor> {
    match t.dtype() {
        DType::F16 | DType::BF16 => t.to_dtype(DType::F32),
        _ => Ok(t.clone()),
    }
}

/// `x` to `y`.
struct Normalise(Line);

impl CustomOp1 for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s, self.name(), T => {
            let x = cpu::slice::<T>(s, l)?;
            cpu::filled(x.len(), |y: &mut [T]| {
                if let Some(s) = self.0.rows() {
                    return rows::layer_norm(&s, &self.0.layer(None, None), x, y);
                }
                self.0.axis.each_line([x], y, |_, [x], y| {
                    let (mean, r) = self.0.moments(x);
                    y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean) * r);
                });
                Ok(())
            })
        })?;
        Ok((y, l.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let plan = domex_cuda::plan::norm(&self.0.cuda(), None, element_of(s)?);
        let y = compute(plan, &[Input::All(s, l)], 1, l.shape().elem_count())?;
        Ok((y, l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        self.0.gradient(&in_backward(x), g).map(Some)
    }
}

/// `x`, weight and bias to `weight · y + bias`.
struct NormaliseAffine {
    line: Line,
    affine: Affine,
}

impl NormaliseAffine {
    /// As [`Line::rows`], where weight and bias run along the line.
    fn rows(&self) -> Option<RowsShape> {
        let along = self.affine.repeat == 1 && self.affine.channels == self.line.axis.len;
        self.line.rows().filter(|_| along)
    }

    fn run<T: Element>(
        &self,
        x: &[T],
        weight: &[T],
        bias: &[T],
        out: &mut [T],
    ) -> domex_kernels::Result<()> {
        if let Some(s) = self.rows() {
            return rows::layer_norm(&s, &self.line.layer(Some(weight), Some(bias)), x, out);
        }
        let Affine {
            channels, repeat, ..
        } = self.affine;
        let len = self.line.axis.len;
        self.line.axis.each_line([x], out, |i, [x], out| {
            let (mean, r) = self.line.moments(x);
            // Lines lie one behind the other, and each begins with a whole channel.
            let first = i * len / repeat % channels;
            let (weight, bias) = (&weight[first..], &bias[first..]);
            if repeat == 1 {
                for (((out, &x), &weight), &bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                    *out = (x - mean) * r * weight + bias;
                }
                return;
            }
            let planes = out.chunks_exact_mut(repeat).zip(x.chunks_exact(repeat));
            for (((out, x), &weight), &bias) in planes.zip(weight).zip(bias) {
                let scale = r * weight;
                out.iter_mut()
                    .zip(x)
                    .for_each(|(out, &x)| *out = (x - mean) * scale + bias);
            }
        });
        Ok(())
    }

    /// All gradients in one pass, where the graph of the gradients is not kept.
    fn fused(
        &self,
        s: &RowsShape,
        [x, weight, bias]: [&Tensor; 3],
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (x_data, g_data) = (Borrowed::new(x), Borrowed::new(g));
        let weight_data = Borrowed::new(weight);
        by_dtype!(x_data.storage()?, self.name(), T => {
            let mut gx = cpu::zeros(s.rows * s.width);
            let wanted = weight.track_op() || bias.track_op();
            let [mut g_weight, mut g_bias] = [(); 2].map(|()| vec![T::default(); s.width]);
            rows::layer_norm_backward(
                s,
                &self.line.layer(Some(weight_data.slice::<T>()?), None),
                x_data.slice::<T>()?,
                g_data.slice::<T>()?,
                &mut gx,
                wanted.then_some((&mut g_weight[..], &mut g_bias[..])),
            )
            .map_err(candle_core::Error::wrap)?;
            let like = |t: &Tensor, data: Vec<T>| {
                let tensor = || Tensor::from_vec(data, t.shape(), t.device());
                t.track_op().then(tensor).transpose()
            };
            Ok((like(x, gx)?, like(weight, g_weight)?, like(bias, g_bias)?))
        })
    }
}

impl CustomOp3 for NormaliseAffine {
    fn name(&self) -> &'static str {
        "normalise-affine"
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
        let y = by_dtype!(s1, self.name(), T => {
            let x = cpu::slice::<T>(s1, l1)?;
            let (weight, bias) = (cpu::slice::<T>(s2, l2)?, cpu::slice::<T>(s3, l3)?);
            cpu::filled(x.len(), |y: &mut [T]| self.run(x, weight, bias, y))
        })?;
        Ok((y, l1.shape().clone()))
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
        use crate::cuda::{Input, compute, element_of};
        let affine = Some(self.affine.cuda());
        let plan = domex_cuda::plan::norm(&self.line.cuda(), affine, element_of(s1)?);
        let inputs = [Input::All(s1, l1), Input::All(s2, l2), Input::All(s3, l3)];
        let y = compute(plan, &inputs, 1, l1.shape().elem_count())?;
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let body = match x.track_op() {
            true => BODIES.gradients_in_one_pass(&[x]),
            false => Body::Composed,
        };
        match (body, self.rows()) {
            (Body::Cpu, Some(s)) => return self.fused(&s, [x, weight, bias], &g.contiguous()?),
            #[cfg(feature = "cuda")]
            (Body::Cuda, _) => return self.cuda_backward([x, weight, bias], &g.contiguous()?),
            _ => {}
        }
        let xd = in_backward(x);
        let for_x = || {
            let weight = self.affine.spread(&in_backward(weight), x)?;
            self.line.gradient(&xd, &g.broadcast_mul(&weight)?)
        };
        let for_weight = || self.affine.sum(&(g * self.line.normalise(&xd)?)?);
        let for_bias = || self.affine.sum(g);
        Ok((
            x.track_op().then(for_x).transpose()?,
            weight.track_op().then(for_weight).transpose()?,
            bias.track_op().then(for_bias).transpose()?,
        ))
    }
}

/// `x` and `g` to `J g`.
struct NormaliseGrad(Line);

impl NormaliseGrad {
    fn run<T: Element>(&self, x: &[T], g: &[T], out: &mut [T]) -> domex_kernels::Result<()> {
        if let Some(s) = self.0.rows() {
            return rows::layer_norm_backward(&s, &self.0.layer(None, None), x, g, out, None);
        }
        self.0.axis.each_line([x, g], out, |_, [x, g], out| {
            let (mean, r) = self.0.moments(x);
            let d = x.len() as f64;
            let mean_g = if self.0.centre {
                axis::sum(g, g, |v, _| v) / d
            } else {
                0.0
            };
            let mean_gy = axis::sum(x, g, |x, g| (x - mean) * r * g) / d;
            let (mean_g, mean_gy) = (T::of(mean_g), T::of(mean_gy));
            for ((out, &x), &g) in out.iter_mut().zip(x).zip(g) {
                *out = r * (g - mean_g - (x - mean) * r * mean_gy);
            }
        });
        Ok(())
    }

    /// The derivative of `vᵀ J g` with respect to `x`, from differentiable operations.
    fn second(&self, x: &Tensor, g: &Tensor, v: &Tensor) -> Result<Tensor> {
        let shape = x.shape().clone();
        let view = |t: &Tensor| self.0.axis.view(t);
        let (g, v) = (view(g)?, view(v)?);
        let (y, r) = self.0.parts(&view(x)?)?;
        let mean_gy = Axis::mean(&(&g * &y)?)?;
        let mean_vy = Axis::mean(&(&v * &y)?)?;
        let mut rest = (Axis::mean(&(&v * &g)?)? - (&mean_vy * &mean_gy)?)?;
        if self.0.centre {
            rest = (rest - (Axis::mean(&v)? * Axis::mean(&g)?)?)?;
        }
        let along = (v.broadcast_mul(&mean_gy)? + g.broadcast_mul(&mean_vy)?)?;
        let along = along.broadcast_mul(&r)?.reshape(&shape)?;
        let across = y.broadcast_mul(&(r.sqr()? * rest)?)?.reshape(&shape)?;
        self.0.gradient(x, &along)?.add(&across)?.neg()
    }
}

impl CustomOp2 for NormaliseGrad {
    fn name(&self) -> &'static str {
        "normalise-backward"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = by_dtype!(s1, self.name(), T => {
            let (x, g) = (cpu::slice::<T>(s1, l1)?, cpu::slice::<T>(s2, l2)?);
            cpu::filled(x.len(), |out: &mut [T]| self.run(x, g, out))
        })?;
        Ok((out, l1.shape().clone()))
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
        let plan = domex_cuda::plan::norm_backward(&self.0.cuda(), None, false, element_of(s1)?);
        let inputs = [Input::All(s1, l1), Input::All(s2, l2)];
        let out = compute(plan, &inputs, 2, l1.shape().elem_count())?;
        Ok((out, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        g: &Tensor,
        _: &Tensor,
        v: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (xd, gd) = (in_backward(x), in_backward(g));
        Ok((
            x.track_op().then(|| self.second(&xd, &gd, v)).transpose()?,
            g.track_op().then(|| self.0.gradient(&xd, v)).transpose()?,
        ))
    }
}

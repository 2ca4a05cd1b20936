//! What happens per channel around a convolution: scaling and sums.
//!
//! Written with broadcasts, each of these would store an expanded gradient, also for a frozen
//! operand. The families here are closed under differentiation, so any order is exact:
//! - [`scale`] `(x, s) = x·s` and [`dot`] `(x, y) = Σ x·y`, with one `s` per row of `inner`
//!   elements: the gradient of `scale` is `(scale(g, s), dot(g, x))`, that of `dot` along `v` is
//!   `(scale(y, v), scale(x, v))`.
//! - [`sum_outer`], which is linear; its gradient is a broadcast.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::{
    Result,
    autograd::in_backward,
    body::{Bodies, Body},
    cpu::{self, Element, by_dtype},
};

const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// Elements that one task should have at least; less is not worth waking a thread.
const TASK: usize = 1 << 14;

/// Rows of `inner` elements that make a task.
fn rows_per_task(inner: usize) -> usize {
    TASK.div_ceil(inner.max(1))
}

/// `x: [n, c, ..]` times `s: [n, c]`. The shapes have been checked.
pub(crate) fn scale(x: &Tensor, s: &Tensor) -> Result<Tensor> {
    if BODIES.of(&[x, s]) == Body::Composed {
        let mut dims = s.dims().to_vec();
        dims.resize(x.rank(), 1);
        return Ok(x.broadcast_mul(&s.reshape(dims)?)?);
    }
    Ok(x.contiguous()?.apply_op2(&s.contiguous()?, Rows::Scale)?)
}

/// `Σ x·y` over all but the first two dimensions: `[n, c, ..]` twice to `[n, c]`. Not composed: for operands that [`BODIES`] takes.
pub(crate) fn dot(x: &Tensor, y: &Tensor) -> candle_core::Result<Tensor> {
    x.contiguous()?.apply_op2(&y.contiguous()?, Rows::Dot)
}

#[derive(Clone, Copy)]
enum Rows {
    Scale,
    Dot,
}

impl Rows {
    fn run<T: Element>(self, a: &[T], b: &[T], inner: usize) -> candle_core::Result<CpuStorage> {
        let task = rows_per_task(inner);
        match self {
            Self::Scale => cpu::filled(a.len(), |y| {
                y.par_chunks_mut(inner)
                    .zip(a.par_chunks(inner))
                    .zip(b)
                    .with_min_len(task)
                    .for_each(|((y, x), &s)| {
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y = x * s;
                        }
                    });
                Ok(())
            }),
            Self::Dot => cpu::filled(a.len() / inner, |y| {
                y.par_iter_mut()
                    .zip(a.par_chunks(inner).zip(b.par_chunks(inner)))
                    .with_min_len(task)
                    .for_each(|(y, (a, b))| *y = T::of(dot_slices(a, b)));
                Ok(())
            }),
        }
    }
}

/// `Σ a·b`: short blocks in the element type, which vectorise, their sums in float64.
fn dot_slices<T: Element>(a: &[T], b: &[T]) -> f64 {
    let block = |(a, b): (&[T], &[T])| {
        let mut lanes = [T::zero(); 16];
        let (a16, b16) = (a.chunks_exact(16), b.chunks_exact(16));
        let rest = a16.remainder().iter().zip(b16.remainder());
        let rest: f64 = rest.map(|(&a, &b)| (a * b).wide()).sum();
        for (a, b) in a16.zip(b16) {
            for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += a * b;
            }
        }
        rest + lanes.iter().map(|l| l.wide()).sum::<f64>()
    };
    a.chunks(512).zip(b.chunks(512)).map(block).sum()
}

impl CustomOp2 for Rows {
    fn name(&self) -> &'static str {
        match self {
            Self::Scale => "scale-channels",
            Self::Dot => "channel-dot",
        }
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let inner = l1.dims()[2..].iter().product();
        let y = by_dtype!(s1, self.name(), T =>
            self.run::<T>(cpu::slice(s1, l1)?, cpu::slice(s2, l2)?, inner))?;
        let shape = match self {
            Self::Scale => l1.shape().clone(),
            Self::Dot => Shape::from(&l1.dims()[..2]),
        };
        Ok((y, shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        use domex_cuda::plan;
        let rows = l1.dims()[..2].iter().product();
        let inner = l1.dims()[2..].iter().product();
        let (plan, shape) = match self {
            Self::Scale => {
                let plan = plan::scale_rows(rows, inner, element_of(s1)?);
                (plan, l1.shape().clone())
            }
            Self::Dot => {
                let plan = plan::dot_rows(rows, inner, element_of(s1)?);
                (plan, Shape::from(&l1.dims()[..2]))
            }
        };
        let inputs = [Input::All(s1, l1), Input::All(s2, l2)];
        Ok((compute(plan, &inputs, 2, shape.elem_count())?, shape))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (ad, bd) = (in_backward(a), in_backward(b));
        match self {
            Self::Scale => Ok((
                a.track_op().then(|| scale(g, &bd)).transpose()?,
                b.track_op().then(|| dot(g, &ad)).transpose()?,
            )),
            Self::Dot => Ok((
                a.track_op().then(|| scale(&bd, g)).transpose()?,
                b.track_op().then(|| scale(&ad, g)).transpose()?,
            )),
        }
    }
}

/// `x` seen as `[outer, c, inner]` with `c` at dimension `dim`, summed to `[c]`.
pub(crate) fn channel_sum(x: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    x.contiguous()?.apply_op1(ChannelSum { dim })
}

struct ChannelSum {
    dim: usize,
}

impl ChannelSum {
    fn run<T: Element>(x: &[T], c: usize, inner: usize) -> candle_core::Result<CpuStorage> {
        cpu::filled(c, |y: &mut [T]| {
            let mut sums = vec![0f64; c];
            if inner >= 16 {
                sums.par_iter_mut().enumerate().for_each(|(j, sum)| {
                    let rows = x.chunks_exact(inner).skip(j).step_by(c);
                    *sum = rows.map(sum_slice).sum();
                });
            } else {
                for row in x.chunks_exact(c * inner) {
                    for (sum, values) in sums.iter_mut().zip(row.chunks_exact(inner)) {
                        *sum += values.iter().map(|v| v.wide()).sum::<f64>();
                    }
                }
            }
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = T::of(sum);
            }
            Ok(())
        })
    }
}

/// The sum, by the scheme of [`dot_slices`].
fn sum_slice<T: Element>(x: &[T]) -> f64 {
    let block = |x: &[T]| {
        let mut lanes = [T::zero(); 16];
        let x16 = x.chunks_exact(16);
        let rest: f64 = x16.remainder().iter().map(|v| v.wide()).sum();
        for x in x16 {
            for (lane, &x) in lanes.iter_mut().zip(x) {
                *lane += x;
            }
        }
        rest + lanes.iter().map(|l| l.wide()).sum::<f64>()
    };
    x.chunks(512).map(block).sum()
}

impl CustomOp1 for ChannelSum {
    fn name(&self) -> &'static str {
        "channel-sum"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (c, inner) = (
            l.dims()[self.dim],
            l.dims()[self.dim + 1..].iter().product(),
        );
        let y = by_dtype!(s, self.name(), T => Self::run::<T>(cpu::slice(s, l)?, c, inner))?;
        Ok((y, Shape::from(c)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let outer = l.dims()[..self.dim].iter().product();
        let (c, inner) = (
            l.dims()[self.dim],
            l.dims()[self.dim + 1..].iter().product(),
        );
        let plan = domex_cuda::plan::channel_sum(outer, c, inner, element_of(s)?);
        Ok((compute(plan, &[Input::All(s, l)], 1, c)?, Shape::from(c)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut dims = vec![1; x.rank()];
        dims[self.dim] = x.dim(self.dim)?;
        Ok(Some(g.reshape(dims)?.broadcast_as(x.shape())?))
    }
}

/// `g: [n, c, h, w]` summed over channels to `len = n·h·w` elements, or over images as well to
/// `h·w`.
pub(crate) fn sum_outer(g: &Tensor, len: usize) -> candle_core::Result<Tensor> {
    let (n, c, h, w) = g.dims4()?;
    let images = len / (h * w);
    // [images, everything summed, pixels]; with one shared noise, images and channels are summed.
    let rows = n * c / images;
    g.reshape((images, rows, h * w))?
        .contiguous()?
        .apply_op1(SumRows)
}

/// `[images, rows, inner]` to `[images, inner]`.
struct SumRows;

impl SumRows {
    fn run<T: Element>(x: &[T], rows: usize, inner: usize) -> candle_core::Result<CpuStorage> {
        cpu::filled(x.len() / rows, |y| {
            y.par_chunks_mut(inner)
                .zip(x.par_chunks(rows * inner))
                .for_each(|(y, x): (&mut [T], &[T])| {
                    for row in x.chunks_exact(inner) {
                        for (y, &x) in y.iter_mut().zip(row) {
                            *y += x;
                        }
                    }
                });
            Ok(())
        })
    }
}

impl CustomOp1 for SumRows {
    fn name(&self) -> &'static str {
        "sum-rows"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (images, rows, inner) = l.shape().dims3()?;
        let y = by_dtype!(s, self.name(), T => Self::run::<T>(cpu::slice(s, l)?, rows, inner))?;
        Ok((y, Shape::from((images, inner))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let (images, rows, inner) = l.shape().dims3()?;
        let plan = domex_cuda::plan::plane_sum(images, rows, inner, element_of(s)?);
        let y = compute(plan, &[Input::All(s, l)], 1, images * inner)?;
        Ok((y, Shape::from((images, inner))))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(g.unsqueeze(1)?.broadcast_as(x.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_gradients, assert_no_stray_gradients, assert_second_order, max_difference, randn,
    };

    #[test]
    fn scale_is_differentiable_to_second_order() {
        for dims in [[1, 1, 1, 1], [2, 3, 7, 5], [3, 1, 3, 3]] {
            let inputs = [randn(&dims, 1), randn(&dims[..2], 2)];
            let f = |x: &[Tensor]| scale(&x[0], &x[1]);
            assert_gradients("scale", f, &inputs);
            assert_second_order("scale", f, &inputs);
            assert_no_stray_gradients("scale", f, &inputs);
        }
    }

    #[test]
    fn channel_sums_of_long_and_short_rows() {
        for (dims, dim) in [(vec![2, 3, 9, 61], 1), (vec![5, 3], 1), (vec![2, 2, 3], 2)] {
            let x = [randn(&dims, 5)];
            let others: Vec<usize> = (0..dims.len()).filter(|&d| d != dim).collect();
            let want = x[0].sum(others).unwrap();
            let f = |x: &[Tensor]| Ok(channel_sum(&x[0], dim)?);
            assert!(max_difference(&f(&x).unwrap(), &want) < 1e-12);
            assert_gradients("channel_sum", f, &x);
        }
    }
}

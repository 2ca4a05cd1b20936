//! Softmax: `y_i = exp(x_i − max x) / Σ_j exp(x_j − max x)` along one dimension.
//!
//! Backward: `∂x = y (g − Σ_j g_j y_j)`, which is linear in the incoming gradient `g` and has an
//! explicit backward of its own. candle's fused `softmax_last_dim` has none and drops the gradient.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};
use domex_kernels::rows;

use crate::{
    Result,
    autograd::in_backward,
    axis::{self, Axis},
    body::{Bodies, Body},
    cpu::{self, Element, by_dtype},
};

const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// Softmax of `x` along `dim`, same shape. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Parameter`](crate::Error::Parameter) when `x` has no dimension `dim`,
/// [`Error::Shape`](crate::Error::Shape) when a dimension is empty,
/// [`Error::DType`](crate::Error::DType) for integers.
pub fn softmax(x: &Tensor, dim: usize) -> Result<Tensor> {
    let axis = Axis::of("softmax", x, dim)?;
    if BODIES.of(&[x]) == Body::Composed {
        return reference(x, dim);
    }
    Ok(x.contiguous()?.apply_op1(Softmax(axis))?)
}

/// The same from candle's own operations.
///
/// # Errors
///
/// As [`softmax`].
pub fn reference(x: &Tensor, dim: usize) -> Result<Tensor> {
    Axis::of("softmax", x, dim)?;
    // The result does not depend on what is subtracted, so its gradient is not needed.
    let exp = x.broadcast_sub(&x.detach().max_keepdim(dim)?)?.exp()?;
    Ok(exp.broadcast_div(&exp.sum_keepdim(dim)?)?)
}

struct Softmax(Axis);

impl Softmax {
    fn run<T: Element>(&self, x: &[T], y: &mut [T]) -> domex_kernels::Result<()> {
        if let Some(s) = self.0.rows() {
            return rows::softmax(&s, x, y);
        }
        self.0.each_line([x], y, |_, [x], y| {
            let max = x
                .iter()
                .copied()
                .fold(T::neg_infinity(), |m, v| if v > m { v } else { m });
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (x - max).exp();
            }
            let scale = T::of(1.0 / axis::sum(y, y, |v, _| v));
            y.iter_mut().for_each(|y| *y *= scale);
        });
        Ok(())
    }
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s, self.name(), T => {
            let x = cpu::slice::<T>(s, l)?;
            cpu::filled(x.len(), |y: &mut [T]| self.run(x, y))
        })?;
        Ok((y, l.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let Axis { outer, len, inner } = self.0;
        let plan = domex_cuda::plan::softmax(outer, len, inner, element_of(s)?);
        let y = compute(plan, &[Input::All(s, l)], 1, l.shape().elem_count())?;
        Ok((y, l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        in_backward(y)
            .apply_op2(&g.contiguous()?, SoftmaxGrad(self.0))
            .map(Some)
    }
}

/// `y (g − Σ_j g_j y_j)`
struct SoftmaxGrad(Axis);

impl SoftmaxGrad {
    fn run<T: Element>(&self, y: &[T], g: &[T], out: &mut [T]) -> domex_kernels::Result<()> {
        if let Some(s) = self.0.rows() {
            return rows::softmax_backward(&s, y, g, out);
        }
        self.0.each_line([y, g], out, |_, [y, g], out| {
            let mean = T::of(axis::sum(y, g, |y, g| y * g));
            for ((out, &y), &g) in out.iter_mut().zip(y).zip(g) {
                *out = y * (g - mean);
            }
        });
        Ok(())
    }
}

impl CustomOp2 for SoftmaxGrad {
    fn name(&self) -> &'static str {
        "softmax-backward"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let out = by_dtype!(s1, self.name(), T => {
            let (y, g) = (cpu::slice::<T>(s1, l1)?, cpu::slice::<T>(s2, l2)?);
            cpu::filled(y.len(), |out: &mut [T]| self.run(y, g, out))
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
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let Axis { outer, len, inner } = self.0;
        let plan = domex_cuda::plan::softmax_backward(outer, len, inner, element_of(s1)?);
        let inputs = [Input::All(s1, l1), Input::All(s2, l2)];
        let out = compute(plan, &inputs, 2, l1.shape().elem_count())?;
        Ok((out, l1.shape().clone()))
    }

    /// With the incoming gradient `v`: for `g` the same operator on `v`; for `y`
    /// `v (g − Σ g y) − g Σ v y`.
    fn bwd(
        &self,
        y: &Tensor,
        g: &Tensor,
        _: &Tensor,
        v: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let v = &v.contiguous()?;
        let (yd, gd) = (in_backward(y), in_backward(g));
        let for_y = || {
            let (y, g, v) = (self.0.view(&yd)?, self.0.view(&gd)?, self.0.view(v)?);
            let sum_gy = (&g * &y)?.sum_keepdim(1)?;
            let sum_vy = (&v * &y)?.sum_keepdim(1)?;
            let grad = (v * g.broadcast_sub(&sum_gy)?)? - g.broadcast_mul(&sum_vy)?;
            grad?.reshape(yd.shape())
        };
        let for_g = || yd.apply_op2(v, SoftmaxGrad(self.0));
        Ok((
            y.track_op().then(for_y).transpose()?,
            g.track_op().then(for_g).transpose()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::{reference, softmax};
    use crate::testing::{assert_gradients, assert_second_order, max_difference, randn};

    #[test]
    fn equals_the_reference_along_every_dimension() {
        let x = (randn(&[3, 5, 37, 4], 1) * 3.0).unwrap();
        for dim in 0..4 {
            let expected = reference(&x, dim).unwrap();
            assert!(
                max_difference(&softmax(&x, dim).unwrap(), &expected) < 1e-14,
                "dim {dim}"
            );
            let narrow = softmax(&x.to_dtype(DType::F32).unwrap(), dim).unwrap();
            assert!(max_difference(&narrow, &expected) < 1e-6, "dim {dim}");
            let turned = x.transpose(1, 3).unwrap();
            let same = softmax(&turned, dim).unwrap();
            assert!(max_difference(&same, &reference(&turned, dim).unwrap()) < 1e-14);
        }
    }

    #[test]
    fn rows_of_every_length() {
        // Either side of what the kernel for rows takes.
        for len in [1, 50, 1 << 14, (1 << 14) + 1] {
            let x = randn(&[2, len], 4);
            let expected = reference(&x, 1).unwrap();
            assert!(max_difference(&softmax(&x, 1).unwrap(), &expected) < 1e-14);
            let narrow = softmax(&x.to_dtype(DType::F32).unwrap(), 1).unwrap();
            assert!(max_difference(&narrow, &expected) < 1e-6, "{len}");
        }
    }

    #[test]
    fn derivatives() {
        let x = randn(&[2, 5, 3], 2);
        for dim in 0..3 {
            let f = |xs: &[Tensor]| softmax(&xs[0], dim);
            assert_gradients("softmax", f, std::slice::from_ref(&x));
            assert_second_order("softmax", f, std::slice::from_ref(&x));
        }
    }

    #[test]
    fn large_and_masked_scores() {
        let x = Tensor::new(&[1000f32, 1000.0, f32::NEG_INFINITY], &Device::Cpu).unwrap();
        assert_eq!(
            softmax(&x, 0).unwrap().to_vec1::<f32>().unwrap(),
            [0.5, 0.5, 0.0]
        );
    }

    #[test]
    fn refusals() {
        let x = randn(&[2, 3], 3);
        assert!(softmax(&x, 2).unwrap_err().to_string().contains("dim is 2"));
        let empty = Tensor::zeros((2, 0), DType::F32, &Device::Cpu).unwrap();
        assert!(
            softmax(&empty, 0)
                .unwrap_err()
                .to_string()
                .contains("[2, 0]")
        );
        assert!(softmax(&x.to_dtype(DType::U8).unwrap(), 0).is_err());
    }
}

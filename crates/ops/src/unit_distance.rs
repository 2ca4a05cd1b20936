//! How far apart two feature maps are at each pixel, with their channels brought to unit length.
//!
//! `y[n, 0, i, j] = Σ_c w_c (â[n, c, i, j] − b̂[n, c, i, j])²` for `a, b: [n, c, h, w]`, with `û = u / (‖u‖ + ε)` over the channels of
//! a pixel and `‖u‖ = √max(Σ u², floor)`; `weight: [c]`, or all 1. It is the distance of LPIPS at one depth (Zhang et al.
//! 2018, arXiv 1801.03924). The floor keeps the root's slope finite where all channels are 0.
//!
//! On the CPU and on a CUDA device one pass each way, and neither the unit vectors nor their difference are kept. Where the graph is kept, or the
//! weight tracks, it is composed of candle's operations, so any order is exact.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result as CandleResult, Shape, Tensor};
use domex_kernels::unit_distance as kernel;

use crate::{
    Error, Result,
    body::{Bodies, Body},
    check,
    cpu::{self, Borrowed, Element, by_dtype},
};

const OP: &str = "unit_distance";
const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// The two small numbers of [`unit_distance`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitLength {
    /// Added to a length before it divides.
    pub eps: f64,
    /// The least squared length.
    pub floor: f64,
}

/// The distance `[n, 1, h, w]` of `a, b: [n, c, h, w]`, its channels weighted by `weight: [c]`. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when the operands do not fit each other or a size is zero; [`Error::Parameter`] for an ε or floor that is
/// negative or not finite; [`Error::DType`] and [`Error::Device`] when the operands do not match.
pub fn unit_distance(
    a: &Tensor,
    b: &Tensor,
    weight: Option<&Tensor>,
    length: UnitLength,
) -> Result<Tensor> {
    let shape = check_operands(a, b, weight, length)?;
    if BODIES.widens(&[a, b]) {
        // Of vectors of zeros half precision knows neither ε nor floor.
        let wide = |t: &Tensor| t.to_dtype(DType::F32);
        let weight = weight.map(wide).transpose()?;
        let y = unit_distance(&wide(a)?, &wide(b)?, weight.as_ref(), length)?;
        return Ok(y.to_dtype(a.dtype())?);
    }
    let frozen = weight.is_none_or(|w| !w.track_op());
    if !frozen || BODIES.of(&[a]) == Body::Composed {
        return Ok(composed(a, b, weight, length)?);
    }
    let op = Distance {
        shape,
        weight: weight.map(Tensor::contiguous).transpose()?,
    };
    Ok(a.contiguous()?.apply_op2(&b.contiguous()?, op)?)
}

/// The same from candle's own operations.
///
/// # Errors
///
/// As [`unit_distance`].
pub fn reference(
    a: &Tensor,
    b: &Tensor,
    weight: Option<&Tensor>,
    length: UnitLength,
) -> Result<Tensor> {
    check_operands(a, b, weight, length)?;
    Ok(composed(a, b, weight, length)?)
}

fn check_operands(
    a: &Tensor,
    b: &Tensor,
    weight: Option<&Tensor>,
    length: UnitLength,
) -> Result<kernel::UnitDistance> {
    check::float(OP, "a", a)?;
    check::alike(OP, "b", b, a)?;
    let (n, channels, h, w) = check::dims4(OP, "a", a, "[n, c, h, w]")?;
    if b.dims() != a.dims() {
        let expected = format!("{:?} as a", a.dims());
        return Err(Error::shape(OP, "b", b.dims(), expected));
    }
    if let Some(weight) = weight {
        check::alike(OP, "weight", weight, a)?;
        if weight.dims() != [channels] {
            let expected = format!("[{channels}] for a {:?}", a.dims());
            return Err(Error::shape(OP, "weight", weight.dims(), expected));
        }
    }
    for (name, value) in [("eps", length.eps), ("floor", length.floor)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(Error::parameter(OP, name, value, "a number of at least 0"));
        }
    }
    Ok(kernel::UnitDistance {
        n,
        channels,
        pixels: h * w,
        eps: length.eps,
        floor: length.floor,
    })
}

/// Of the channel vectors: themselves at unit length, and `[n, 1, h, w]` each of `1/(‖u‖ + ε)` and `1/‖u‖`, the
/// last zero where the floor holds.
fn parts(x: &Tensor, length: UnitLength) -> CandleResult<[Tensor; 3]> {
    let square = x.sqr()?.sum_keepdim(1)?;
    let root = square.maximum(length.floor)?.sqrt()?;
    let scale = (&root + length.eps)?.recip()?;
    let above = square.detach().ge(length.floor)?.to_dtype(x.dtype())?;
    Ok([x.broadcast_mul(&scale)?, scale, (above / root)?])
}

fn weighted(x: &Tensor, weight: Option<&Tensor>) -> CandleResult<Tensor> {
    match weight {
        Some(weight) => x.broadcast_mul(&weight.reshape((1, (), 1, 1))?),
        None => Ok(x.clone()),
    }
}

fn composed(
    a: &Tensor,
    b: &Tensor,
    weight: Option<&Tensor>,
    length: UnitLength,
) -> CandleResult<Tensor> {
    let ([a, ..], [b, ..]) = (parts(a, length)?, parts(b, length)?);
    weighted(&(a - b)?.sqr()?, weight)?.sum_keepdim(1)
}

struct Distance {
    shape: kernel::UnitDistance,
    weight: Option<Tensor>,
}

impl Distance {
    fn forward<T: Element>(&self, a: &[T], b: &[T]) -> CandleResult<CpuStorage> {
        let weight = self.weight.as_ref().map(Borrowed::new);
        let weight = weight.as_ref().map(Borrowed::slice::<T>).transpose()?;
        cpu::filled(self.shape.n * self.shape.pixels, |y| {
            kernel::forward(&self.shape, a, b, weight, y)
        })
    }

    /// The gradients that are wanted.
    fn backward<T: Element>(
        &self,
        maps: [&[T]; 2],
        g: &[T],
        wanted: [bool; 2],
    ) -> CandleResult<[Option<Vec<T>>; 2]> {
        let weight = self.weight.as_ref().map(Borrowed::new);
        let weight = weight.as_ref().map(Borrowed::slice::<T>).transpose()?;
        let mut grads = wanted.map(|wanted| wanted.then(|| cpu::zeros(maps[0].len())));
        let [a, b] = &mut grads;
        let to = [a.as_deref_mut(), b.as_deref_mut()];
        kernel::backward(&self.shape, maps, weight, g, to).map_err(candle_core::Error::wrap)?;
        Ok(grads)
    }

    /// The gradients from differentiable operations.
    fn composed_backward(&self, a: &Tensor, b: &Tensor, g: &Tensor) -> CandleResult<[Tensor; 2]> {
        let length = UnitLength {
            eps: self.shape.eps,
            floor: self.shape.floor,
        };
        let (pa, pb) = (parts(a, length)?, parts(b, length)?);
        let e = weighted(&(&pa[0] - &pb[0])?, self.weight.as_ref())?;
        let e = e.broadcast_mul(&(g * 2.0)?)?;
        let side = |x: &Tensor, [_, scale, inverse]: &[Tensor; 3]| -> CandleResult<Tensor> {
            let along = (&e * x)?.sum_keepdim(1)?;
            let along = ((along * scale.sqr()?)? * inverse)?;
            e.broadcast_mul(scale)? - x.broadcast_mul(&along)?
        };
        Ok([side(a, &pa)?, side(b, &pb)?.neg()?])
    }
}

impl CustomOp2 for Distance {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let y =
            by_dtype!(s1, OP, T => self.forward::<T>(cpu::slice(s1, l1)?, cpu::slice(s2, l2)?))?;
        let (n, _, h, w) = l1.shape().dims4()?;
        Ok((y, Shape::from((n, 1, h, w))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        self.cuda_forward((s1, l1), (s2, l2))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let wanted = [a.track_op(), b.track_op()];
        match BODIES.gradients_in_one_pass(&[a]) {
            Body::Composed => {
                let [ga, gb] = self.composed_backward(a, b, g)?;
                return Ok((wanted[0].then_some(ga), wanted[1].then_some(gb)));
            }
            #[cfg(feature = "cuda")]
            Body::Cuda => return Ok(self.cuda_backward(a, b, g, wanted)?.into()),
            _ => {}
        }
        let g = g.contiguous()?;
        let [a_data, b_data, g_data] = [a, b, &g].map(Borrowed::new);
        by_dtype!(a_data.storage()?, OP, T => {
            let maps = [a_data.slice::<T>()?, b_data.slice::<T>()?];
            let [ga, gb] = self.backward(maps, g_data.slice()?, wanted)?;
            let like = |data: Option<Vec<T>>| {
                data.map(|data| Tensor::from_vec(data, a.shape(), a.device())).transpose()
            };
            Ok((like(ga)?, like(gb)?))
        })
    }
}

#[cfg(test)]
mod tests;

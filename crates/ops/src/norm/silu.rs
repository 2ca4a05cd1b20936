//! Group norm, an affine map of its own for every image and channel, and SiLU, in one pass.
//!
//! `y = u σ(u)` with `u = h · scale[n, c] + shift[n, c]` and `h` the [`group_norm`](super::group_norm()) of `x`. This is the
//! first half of a residual block of a diffusion network: weight and bias of the norm, and the scale and shift of its
//! conditions (Dhariwal and Nichol 2021, arXiv 2105.05233, "adaptive group normalization"), fold into one scale and one shift.
//!
//! Backward: with `gu = g · σ(u)(1 + u(1 − σ(u)))`, `∂shift = Σ gu`, `∂scale = Σ gu h`, and `∂x` is the Jacobian of the norm
//! applied to `gu · scale`. One pass each way on the CPU; where the graph is kept, the same is composed of differentiable
//! operators.

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor};
use domex_kernels::group_norm::{self as kernel, GroupNorm, GroupNormGrads, GroupNormShape};

use super::{group_plan, ops::Line};
use crate::{
    Activation, BiasAct, Error, Result,
    autograd::in_backward,
    bias_act,
    body::{Bodies, Body},
    check,
    cpu::{self, Borrowed, Element, by_dtype},
};

const OP: &str = "group_norm_silu";
const BODIES: Bodies = Bodies::CPU;

/// Normalises each of `groups` groups of channels of `x: [n, c, ..]`, multiplies by `scale: [n, c]`, adds `shift: [n, c]`
/// and applies SiLU.
///
/// # Errors
///
/// As [`group_norm`](super::group_norm()), with `scale` and `shift` in place of weight and bias.
pub fn group_norm_silu(
    x: &Tensor,
    groups: usize,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let op = plan(x, groups, scale, shift, eps)?;
    if BODIES.of(&[x]) == Body::Composed {
        return op.reference(x, scale, shift);
    }
    let (scale, shift) = (scale.contiguous()?, shift.contiguous()?);
    Ok(x.contiguous()?.apply_op3(&scale, &shift, op)?)
}

/// The same from candle's own operations and those of this crate.
///
/// # Errors
///
/// As [`group_norm_silu`].
pub(super) fn reference(
    x: &Tensor,
    groups: usize,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    plan(x, groups, scale, shift, eps)?.reference(x, scale, shift)
}

fn plan(
    x: &Tensor,
    groups: usize,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
) -> Result<GroupNormSilu> {
    let (line, _) = group_plan(x, groups, None, None, eps)?;
    let (n, channels) = (x.dims()[0], x.dims()[1]);
    for (name, operand) in [("scale", scale), ("shift", shift)] {
        check::alike(OP, name, operand, x)?;
        if operand.dims() != [n, channels] {
            let expected = format!("[{n}, {channels}] for x {:?}", x.dims());
            return Err(Error::shape(OP, name, operand.dims(), expected));
        }
    }
    let shape = GroupNormShape {
        n,
        channels,
        groups,
        pixels: x.dims()[2..].iter().product(),
        eps,
    };
    shape.check()?;
    Ok(GroupNormSilu { line, shape })
}

struct GroupNormSilu {
    line: Line,
    shape: GroupNormShape,
}

/// `t: [n, c]` with ones behind, to be broadcast over the shape of `x`.
fn spread(t: &Tensor, x: &Tensor) -> candle_core::Result<Tensor> {
    let mut dims = t.dims().to_vec();
    dims.resize(x.rank(), 1);
    t.reshape(dims)
}

impl GroupNormSilu {
    fn reference(&self, x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
        let h = self.line.normalise_reference(x)?.to_dtype(x.dtype())?;
        let u = affine(&h, scale, shift)?;
        let silu = BiasAct {
            gain: Some(1.0),
            ..BiasAct::new(Activation::Swish)
        };
        bias_act::reference(&u, None, &silu)
    }

    /// The gradients from differentiable operators.
    fn composed_backward(
        &self,
        [x, scale, shift, g]: [&Tensor; 4],
    ) -> candle_core::Result<[Tensor; 3]> {
        let h = self.line.normalise(x)?;
        let u = affine(&h, scale, shift)?;
        // σ(u) as a hyperbolic tangent, which does not overflow.
        let sigmoid = (((&u * 0.5)?.tanh()? * 0.5)? + 0.5)?;
        let slope = (&sigmoid * ((&u * sigmoid.affine(-1.0, 1.0)?)? + 1.0)?)?;
        let gu = (g * slope)?;
        let sum = |t: &Tensor| {
            let (n, c) = scale.dims2()?;
            t.reshape((n, c, ()))?.sum(2)
        };
        let gx = self
            .line
            .gradient(x, &gu.broadcast_mul(&spread(scale, x)?)?)?;
        Ok([gx, sum(&(&gu * &h)?)?, sum(&gu)?])
    }

    fn backward<T: Element>(
        &self,
        operands: [&Borrowed<'_>; 4],
    ) -> candle_core::Result<[Vec<T>; 3]> {
        let [x, scale, shift, g] = operands;
        let o = GroupNorm {
            x: x.slice()?,
            scale: scale.slice()?,
            shift: shift.slice()?,
        };
        let mut grads = [o.x.len(), o.scale.len(), o.shift.len()].map(cpu::zeros::<T>);
        let [x, scale, shift] = &mut grads;
        let places = GroupNormGrads { x, scale, shift };
        kernel::backward(&self.shape, &o, g.slice()?, places).map_err(candle_core::Error::wrap)?;
        Ok(grads)
    }
}

/// `h · scale + shift`.
fn affine(h: &Tensor, scale: &Tensor, shift: &Tensor) -> candle_core::Result<Tensor> {
    h.broadcast_mul(&spread(scale, h)?)?
        .broadcast_add(&spread(shift, h)?)
}

impl CustomOp3 for GroupNormSilu {
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
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s1, OP, T => {
            let o = GroupNorm {
                x: cpu::slice::<T>(s1, l1)?,
                scale: cpu::slice(s2, l2)?,
                shift: cpu::slice(s3, l3)?,
            };
            cpu::filled(o.x.len(), |y| kernel::forward(&self.shape, &o, y))
        })?;
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [gx, g_scale, g_shift] = if BODIES.gradients_in_one_pass(&[x]) == Body::Composed {
            let [xd, scaled, shifted] = [x, scale, shift].map(in_backward);
            self.composed_backward([&xd, &scaled, &shifted, g])?
        } else {
            let g = g.contiguous()?;
            let [xs, scales, shifts, gs] = [x, scale, shift, &g].map(Borrowed::new);
            by_dtype!(xs.storage()?, OP, T => {
                let [gx, g_scale, g_shift] = self.backward::<T>([&xs, &scales, &shifts, &gs])?;
                let like = |data, t: &Tensor| Tensor::from_vec(data, t.shape(), t.device());
                Ok::<_, candle_core::Error>([like(gx, x)?, like(g_scale, scale)?, like(g_shift, shift)?])
            })?
        };
        let wanted = |g: Tensor, t: &Tensor| t.track_op().then_some(g);
        Ok((
            wanted(gx, x),
            wanted(g_scale, scale),
            wanted(g_shift, shift),
        ))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::testing::{assert_gradients, assert_second_order, max_difference, randn};

    fn operands(dims: &[usize]) -> [Tensor; 3] {
        [
            randn(dims, 1),
            randn(&dims[..2], 2),
            (randn(&dims[..2], 3) * 0.5).unwrap(),
        ]
    }

    #[test]
    fn the_fast_body_agrees_with_the_reference_in_both_types() {
        for (dims, groups) in [(&[2, 4, 3, 5][..], 2), (&[1, 6, 40, 41], 3), (&[3, 4], 4)] {
            let [x, scale, shift] = operands(dims);
            let want = reference(&x, groups, &scale, &shift, 1e-5).unwrap();
            let got = group_norm_silu(&x, groups, &scale, &shift, 1e-5).unwrap();
            assert!(max_difference(&got, &want) < 1e-12);
            let [x, scale, shift] = [&x, &scale, &shift].map(|t| t.to_dtype(DType::F32).unwrap());
            let got = group_norm_silu(&x, groups, &scale, &shift, 1e-5).unwrap();
            assert_eq!(got.dtype(), DType::F32);
            assert!(max_difference(&got, &want) < 2e-5);
        }
    }

    #[test]
    fn gradients_of_first_and_second_order() {
        let f = |t: &[Tensor]| group_norm_silu(&t[0], 2, &t[1], &t[2], 1e-5);
        for dims in [&[2, 4, 3, 2][..], &[2, 6, 3]] {
            assert_gradients(OP, f, &operands(dims));
            assert_second_order(OP, f, &operands(dims));
        }
        let view = |t: &[Tensor]| group_norm_silu(&t[0].transpose(2, 3)?, 2, &t[1], &t[2], 1e-5);
        assert_gradients("of a view", view, &operands(&[1, 4, 3, 2]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        let (x, s) = (zeros(&[2, 4, 3, 3]), zeros(&[2, 4]));
        assert!(group_norm_silu(&x, 2, &s, &s, 1e-5).is_ok());
        assert!(group_norm_silu(&x, 3, &s, &s, 1e-5).is_err());
        assert!(group_norm_silu(&x, 0, &s, &s, 1e-5).is_err());
        assert!(group_norm_silu(&x, 2, &s, &s, f64::NAN).is_err());
        assert!(group_norm_silu(&x, 2, &zeros(&[4]), &s, 1e-5).is_err());
        assert!(group_norm_silu(&x, 2, &s, &zeros(&[1, 4]), 1e-5).is_err());
        assert!(group_norm_silu(&zeros(&[0, 4, 3]), 2, &zeros(&[0, 4]), &s, 1e-5).is_err());
    }
}

//! Nearest-neighbour upsampling by a whole factor.
//!
//! `y[n, c, i, j] = x[n, c, ⌊i/k⌋, ⌊j/k⌋]`: `x: [n, c, h, w]` to `[n, c, k·h, k·w]`. Backward is the adjoint, the sum of each
//! `k × k` block, whose own backward is the upsampling again; so any order is exact. What decoders of diffusion networks have,
//! and several times as fast as the general tables of [`resize`](crate::resize()). candle's own overwrites gradients.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::{
    Error, Result,
    body::{Bodies, Body},
    check,
    cpu::{self, Element, by_dtype},
};

const OP: &str = "upsample_nearest";

const BODIES: Bodies = Bodies::CPU;

/// Planes of fewer elements in all are not worth waking a thread for.
const GRAIN: usize = 1 << 14;

/// Repeats each element of `x: [n, c, h, w]` over a block of `factor × factor`. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when `x` is not of rank 4, has an empty dimension or the result would not fit into memory,
/// [`Error::Parameter`] for a factor of 0, [`Error::DType`] for integers.
pub fn upsample_nearest(x: &Tensor, factor: usize) -> Result<Tensor> {
    check_operand(x, factor)?;
    if BODIES.of(&[x]) == Body::Composed {
        return reference(x, factor);
    }
    let op = Repeat {
        factor,
        adjoint: false,
    };
    Ok(x.contiguous()?.apply_op1(op)?)
}

/// The same from candle's own operations.
///
/// # Errors
///
/// As [`upsample_nearest`].
pub fn reference(x: &Tensor, factor: usize) -> Result<Tensor> {
    let (n, c, h, w) = check_operand(x, factor)?;
    Ok(x.reshape((n, c, h, 1, w, 1))?
        .broadcast_as((n, c, h, factor, w, factor))?
        .reshape((n, c, h * factor, w * factor))?)
}

fn check_operand(x: &Tensor, factor: usize) -> Result<(usize, usize, usize, usize)> {
    check::float(OP, "x", x)?;
    let (n, c, h, w) = check::dims4(OP, "x", x, "[n, c, h, w]")?;
    if factor == 0 {
        return Err(Error::parameter(OP, "factor", factor, "at least 1"));
    }
    let large = [h, w].map(|side| side.saturating_mul(factor));
    check::elements(OP, &[n, c, large[0], large[1]], x.dtype())?;
    Ok((n, c, h, w))
}

/// The operator or its adjoint.
struct Repeat {
    factor: usize,
    adjoint: bool,
}

impl CustomOp1 for Repeat {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = l.shape().dims4()?;
        let k = self.factor;
        let (h, w) = if self.adjoint { (h / k, w / k) } else { (h, w) };
        let (small, large) = (h * w, h * w * k * k);
        let least = (GRAIN / large).max(1);
        let y = by_dtype!(s, OP, T => {
            let x = cpu::slice::<T>(s, l)?;
            let (from, to) = if self.adjoint { (large, small) } else { (small, large) };
            cpu::filled::<T>(n * c * to, |y| {
                let planes = y.par_chunks_mut(to).zip(x.par_chunks(from)).with_min_len(least);
                match self.adjoint {
                    true => planes.for_each(|(y, x)| gather(x, y, w, k)),
                    false => planes.for_each(|(y, x)| spread(x, y, w, k)),
                }
                Ok(())
            })
        })?;
        let shape = if self.adjoint {
            (n, c, h, w)
        } else {
            (n, c, h * k, w * k)
        };
        Ok((y, shape.into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let adjoint = Self {
            factor: self.factor,
            adjoint: !self.adjoint,
        };
        Ok(Some(g.contiguous()?.apply_op1(adjoint)?))
    }
}

/// One plane of values to blocks; `w` is the width of `x`.
fn spread<T: Element>(x: &[T], y: &mut [T], w: usize, k: usize) {
    for (row, block) in x.chunks_exact(w).zip(y.chunks_exact_mut(k * k * w)) {
        let (first, rest) = block.split_at_mut(k * w);
        for (run, &v) in first.chunks_exact_mut(k).zip(row) {
            run.fill(v);
        }
        rest.chunks_exact_mut(k * w)
            .for_each(|line| line.copy_from_slice(first));
    }
}

/// One plane of blocks to their sums; `w` is the width of `y`.
fn gather<T: Element>(x: &[T], y: &mut [T], w: usize, k: usize) {
    for (row, block) in y.chunks_exact_mut(w).zip(x.chunks_exact(k * k * w)) {
        for line in block.chunks_exact(k * w) {
            for (y, run) in row.iter_mut().zip(line.chunks_exact(k)) {
                *y = run.iter().fold(*y, |sum, &v| sum + v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::testing::{assert_gradients, assert_second_order, max_difference, randn};
    use crate::{Resize, resize};

    #[test]
    fn equals_the_reference_and_the_general_resize() {
        for (dims, k) in [([2, 3, 2, 5], 2), ([1, 1, 1, 1], 3), ([1, 2, 3, 2], 1)] {
            let x = randn(&dims, 1);
            let y = upsample_nearest(&x, k).unwrap();
            let general = resize(&x, dims[2] * k, dims[3] * k, Resize::Nearest).unwrap();
            assert_eq!(max_difference(&y, &reference(&x, k).unwrap()), 0.0);
            assert_eq!(max_difference(&y, &general), 0.0);
            let single = upsample_nearest(&x.to_dtype(DType::F32).unwrap(), k).unwrap();
            assert!(max_difference(&single, &y) < 1e-6);
        }
    }

    #[test]
    fn gradients_of_first_and_second_order() {
        let x = [randn(&[2, 2, 3, 2], 1)];
        // Squared, so that there is a second derivative; used twice, so that gradients add up.
        let f = |t: &[Tensor]| {
            let y = upsample_nearest(&t[0], 2)?;
            Ok((y.sqr()? * upsample_nearest(&t[0], 2)?)?)
        };
        assert_gradients(OP, f, &x);
        assert_second_order(OP, f, &x);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let zeros = |dims: &[usize], dtype| Tensor::zeros(dims, dtype, &Device::Cpu).unwrap();
        assert!(upsample_nearest(&zeros(&[2, 3, 4], DType::F32), 2).is_err());
        assert!(upsample_nearest(&zeros(&[1, 1, 0, 4], DType::F32), 2).is_err());
        assert!(upsample_nearest(&zeros(&[1, 1, 4, 4], DType::U8), 2).is_err());
        let x = zeros(&[1, 1, 4, 4], DType::F32);
        for factor in [0, usize::MAX, usize::MAX / 8] {
            assert!(upsample_nearest(&x, factor).is_err());
        }
    }
}

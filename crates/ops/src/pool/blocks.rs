//! The mean of each `k × k` block: average pooling whose windows tile the picture.
//!
//! What most networks have, and several times as fast as the general tables. The operator and its
//! adjoint, which spreads each value over its block, are each other's backward:
//! `mean(x) = k⁻² Σ block`, `spread(g) = k⁻² g` everywhere in the block.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::Pool;
use crate::cpu::{self, Element, by_dtype};

const OP: &str = "avg_pool2d";

/// Planes of fewer elements in all are not worth waking a thread for.
const GRAIN: usize = 1 << 14;

/// The side of the blocks, where the windows tile a picture of `h × w`.
pub(super) fn side(pool: &Pool, h: usize, w: usize) -> Option<usize> {
    let k = pool.kernel;
    let tiles = k > 1 && pool.stride == k && pool.padding == 0;
    (tiles && h.is_multiple_of(k) && w.is_multiple_of(k)).then_some(k)
}

/// `x: [n, c, h, w]` on the CPU to `[n, c, h / k, w / k]`.
pub(super) fn mean(x: &Tensor, k: usize) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Blocks { k, spread: false })
}

/// One of the two operators.
#[derive(Clone, Copy)]
struct Blocks {
    k: usize,
    spread: bool,
}

impl CustomOp1 for Blocks {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = l.shape().dims4()?;
        let k = self.k;
        // Small and large side of the two pictures.
        let (h, w) = if self.spread { (h, w) } else { (h / k, w / k) };
        let (small, large) = (h * w, h * w * k * k);
        let storage = by_dtype!(s, OP, T => {
            let x = cpu::slice::<T>(s, l)?;
            let (from, to) = if self.spread { (small, large) } else { (large, small) };
            let least = (GRAIN / large).max(1);
            cpu::filled::<T>(n * c * to, |out| {
                let planes = out.par_chunks_mut(to).zip(x.par_chunks(from)).with_min_len(least);
                match self.spread {
                    true => planes.for_each(|(out, x)| spread(x, out, w, k)),
                    false => planes.for_each(|(out, x)| gather(x, out, w, k)),
                }
                Ok(())
            })
        })?;
        let shape = if self.spread {
            (n, c, h * k, w * k)
        } else {
            (n, c, h, w)
        };
        Ok((storage, shape.into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let adjoint = Self {
            spread: !self.spread,
            ..*self
        };
        Ok(Some(g.contiguous()?.apply_op1(adjoint)?))
    }
}

/// One plane of blocks to their means; `w` is the width of `out`.
fn gather<T: Element>(x: &[T], out: &mut [T], w: usize, k: usize) {
    let factor = T::of(1.0 / (k * k) as f64);
    for (row, block) in out.chunks_exact_mut(w).zip(x.chunks_exact(k * k * w)) {
        if k == 2 {
            let (top, bottom) = block.split_at(2 * w);
            let pairs = top.chunks_exact(2).zip(bottom.chunks_exact(2));
            for (out, (a, b)) in row.iter_mut().zip(pairs) {
                *out = (a[0] + a[1] + b[0] + b[1]) * factor;
            }
            continue;
        }
        row.fill(T::default());
        for line in block.chunks_exact(k * w) {
            for (out, run) in row.iter_mut().zip(line.chunks_exact(k)) {
                *out = run.iter().fold(*out, |sum, &v| sum + v);
            }
        }
        row.iter_mut().for_each(|v| *v *= factor);
    }
}

/// One plane of values to blocks; `w` is the width of `x`.
fn spread<T: Element>(x: &[T], out: &mut [T], w: usize, k: usize) {
    let factor = T::of(1.0 / (k * k) as f64);
    for (row, block) in x.chunks_exact(w).zip(out.chunks_exact_mut(k * k * w)) {
        let (first, rest) = block.split_at_mut(k * w);
        for (run, &v) in first.chunks_exact_mut(k).zip(row) {
            run.fill(v * factor);
        }
        rest.chunks_exact_mut(k * w)
            .for_each(|line| line.copy_from_slice(first));
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::{avg_pool2d, pool::average};

    #[test]
    fn blocks_agree_with_the_tables_and_so_do_gradients() {
        for (k, h, w) in [(2, 4, 6), (3, 6, 3), (4, 8, 4)] {
            let values: Vec<f64> = (0..6 * h * w)
                .map(|i| ((i * 37 % 101) as f64).sin())
                .collect();
            let x = Var::from_vec(values, (2, 3, h, w), &Device::Cpu).unwrap();
            let pool = Pool::new(k, k);
            assert_eq!(side(&pool, h, w), Some(k));
            let tables = average(OP, &x, &pool, true).unwrap().apply(OP, &x).unwrap();
            let blocks = avg_pool2d(&x, &pool, true).unwrap();
            let gradient = |y: &Tensor| {
                let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                grads.get(&x).unwrap().clone()
            };
            for (a, b) in [(&tables, &blocks), (&gradient(&tables), &gradient(&blocks))] {
                assert_eq!(a.dims(), b.dims());
                let apart = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                assert!(apart.to_scalar::<f64>().unwrap() < 1e-14);
            }
        }
        assert_eq!(side(&Pool::new(2, 2), 5, 4), None);
        assert_eq!(side(&Pool::new(3, 2), 6, 6), None);
    }
}

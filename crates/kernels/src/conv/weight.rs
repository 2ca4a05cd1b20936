//! The gradient of the weights, without unfolding: any kernel, stride and padding.
//!
//! `gw[o, c, a, b] = Σ_{n, i, j} gy[n, o, i, j] · x[n, c, i·stride + a, j·stride + b]` (x padded). For one kernel row a, the
//! taps b and channels c of a block lie side by side in the blocked input, so they are the `kw · lanes` rows of a product
//! whose k runs along the pixels of output rows; the vectors are output channels of the blocked `gy`.

use rayon::prelude::*;

use super::ConvShape;
use super::blocked::{Blocked, Shared};
use super::tile::{Place, Product, Run, Walk};
use crate::scratch::take;
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, flat, flat_mut};

/// Bytes of input and output gradient that stay in use while the kernel rows go by: a quarter of a common second-level cache
/// (1 MiB), beside them the sums.
const ROWS_BYTES: usize = 256 << 10;

/// Vectors of output channels of a task: the width of the widest tile; or twice that where a stride makes the input that is
/// fetched large against the products it takes part in, and there are tasks enough. (A strided 256-channel gradient runs
/// at 72 GFLOP/s per core with two, at 82 with four; others lose by four what they wait for each other at the end.)
fn panel_vectors(s: &ConvShape) -> usize {
    let tasks = s.c_out.div_ceil(4 * LANES) * s.c_in.div_ceil(LANES);
    if s.stride > 1 && tasks >= TASKS { 4 } else { 2 }
}

/// Tasks to aim at. Where the channels give fewer, the pixels are split too, and the parts added up afterwards in a fixed
/// order: the result does not depend on the number of threads.
const TASKS: usize = 32;

/// Runs of one batch at most; they are kept on the stack.
const MOST_RUNS: usize = 128;

struct Plan<'a> {
    s: &'a ConvShape,
    x: Blocked,
    gy: Blocked,
    xs: &'a [f32],
    gys: &'a [f32],
    /// Sums `[part][panel][block][kh][kw · lanes][vectors · 16]`.
    sums: Shared,
    /// Vectors of output channels of a panel.
    vectors: usize,
    panels: usize,
    parts: usize,
}

impl Plan<'_> {
    fn task_len(&self) -> usize {
        self.s.kh * self.s.kw * self.x.lanes * self.vectors * LANES
    }

    /// Rows of output, over all images.
    fn rows(&self) -> usize {
        self.s.n * self.s.out_h()
    }
}

/// `gw` is overwritten.
pub(super) fn grad_weight(s: &ConvShape, isa: Isa, x: &[f32], gy: &[f32], gw: &mut [f32]) {
    let p = s.padding;
    let input = Blocked::new(s.n, s.c_in, s.h, s.w).padded(p, p, s.h + 2 * p, s.w + 2 * p);
    let output = Blocked::new(s.n, s.c_out, s.out_h(), s.out_w()).full_lanes();
    let (xs, gys) = (input.convert(isa, x), output.convert(isa, gy));
    let vectors = panel_vectors(s);
    let width = vectors * LANES;
    let panels = s.c_out.div_ceil(width);
    let parts = (TASKS / (panels * input.blocks())).clamp(1, s.n * s.out_h());
    let task_len = s.kh * s.kw * input.lanes * width;
    let part_len = panels * input.blocks() * task_len;
    let mut sums = take(parts * part_len);
    let to = Shared::new(flat_mut(&mut sums));
    let plan = Plan {
        s,
        x: input,
        gy: output,
        xs: flat(&xs),
        gys: flat(&gys),
        sums: to,
        vectors,
        panels,
        parts,
    };
    (0..parts * panels * input.blocks())
        .into_par_iter()
        .for_each(|index| {
            dispatch(isa, Task { plan: &plan, index });
        });
    let sums = flat(&sums);
    let taps = s.kh * s.kw;
    gw.par_chunks_mut(s.c_in * taps)
        .enumerate()
        .for_each(|(o, gw)| {
            for (c, gw) in gw.chunks_exact_mut(taps).enumerate() {
                let (block, lane) = (c / input.lanes, c % input.lanes);
                let start =
                    (o / width * input.blocks() + block) * task_len + lane * width + o % width;
                for (tap, gw) in gw.iter_mut().enumerate() {
                    let at = start + tap * input.lanes * width;
                    *gw = (0..parts).map(|part| sums[part * part_len + at]).sum();
                }
            }
        });
}

/// All taps between one block of input channels and one panel of output channels, over one part of the pixels.
struct Task<'a> {
    plan: &'a Plan<'a>,
    index: usize,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (p, shape) = (self.plan, self.plan.s);
        let (part, rest) = (
            self.index / (p.panels * p.x.blocks()),
            self.index % (p.panels * p.x.blocks()),
        );
        let (panel, block) = (rest / p.x.blocks(), rest % p.x.blocks());
        let vectors = p.vectors.min(p.gy.blocks() - panel * p.vectors);
        // SAFETY: the sums are borrowed by `grad_weight`; each index has a stretch of its own.
        let sums = unsafe { p.sums.span(self.index * p.task_len(), p.task_len()) };
        let (ow, oh, width) = (shape.out_w(), shape.out_h(), p.vectors * LANES);
        let walk = Walk {
            a_row: 1,
            a_step: shape.stride * p.x.lanes,
            b_step: LANES,
            b_vector: p.gy.plane(),
            len: ow,
        };
        let (first, last) = (part * p.rows() / p.parts, (part + 1) * p.rows() / p.parts);
        let row_bytes = 4 * (ow * width + shape.stride * p.x.width * p.x.lanes);
        let batch = (ROWS_BYTES / row_bytes).clamp(1, MOST_RUNS);
        let mut runs = [Run::default(); MOST_RUNS];
        let rows = shape.kw * p.x.lanes;
        for begin in (first..last).step_by(batch) {
            let count = batch.min(last - begin);
            for (k, run) in runs[..count].iter_mut().enumerate() {
                let (image, i) = ((begin + k) / oh, (begin + k) % oh);
                run.a = image * p.x.image()
                    + block * p.x.plane()
                    + i * shape.stride * p.x.width * p.x.lanes;
                run.b = image * p.gy.image() + panel * p.vectors * p.gy.plane() + i * ow * LANES;
            }
            let place = Place {
                row: width,
                vector: LANES,
                add: begin > first,
            };
            for a in 0..shape.kh {
                let size = (rows, vectors);
                let (xs, c) = (
                    &p.xs[a * p.x.width * p.x.lanes..],
                    &mut sums[a * rows * width..],
                );
                s.outline(Product {
                    size,
                    walk,
                    runs: &runs[..count],
                    a: xs,
                    b: p.gys,
                    c,
                    place,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SHAPES, shape};
    use super::*;
    use crate::plain;
    use crate::testing::{assert_close, noise};

    #[test]
    fn every_instruction_set_agrees_with_plain() {
        for &v in SHAPES {
            let s = shape(v);
            let (x, gy) = (noise::<f32>(s.x_len(), 1), noise::<f32>(s.y_len(), 3));
            let mut want = vec![0.0; s.w_len()];
            plain::conv_grad_weight(&s, &x, &gy, &mut want);
            for isa in Isa::available() {
                let mut got = vec![f32::NAN; s.w_len()];
                grad_weight(&s, isa, &x, &gy, &mut got);
                assert_close(&got, &want, 1e-5);
            }
        }
    }
}

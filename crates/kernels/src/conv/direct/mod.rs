//! Convolution without unfolding: forward, and the gradient of the input, for any kernel, stride and padding.
//!
//! Both are one gathering: an output pixel is the sum, over the taps of its *phase*, of input pixels times weights. Forward
//! has one phase. The gradient of the input (the transposed convolution) with stride s has s × s: the pixel
//! `u = i + padding` meets the taps `a ≡ u mod s`, as `gx[u] = Σ_m gy[u div s − m] · w[u mod s + s·m]`, a small
//! convolution with the flipped kernel, of which every phase uses its own taps. No product is with a stuffed zero.

mod pack;
mod phase;
mod task;

use rayon::prelude::*;

use self::pack::{Pack, Tap};
use self::phase::{Phase, transposed};
use self::task::Task;
use super::ConvShape;
use super::blocked::{Blocked, Shared};
use crate::scratch::{Scratch, take};
use crate::simd::{Isa, LANES, dispatch, flat, flat_mut};

/// Bytes of weights that stay in use while the pixels of a task go by: an eighth of a common second-level cache (1 MiB),
/// beside them the input rows and the sums of the task.
const WEIGHTS_BYTES: usize = 128 << 10;

/// Pixels of a task at most: their sums (of 32 channels) take 64 KiB of the second-level cache, and a panel of weights fetched
/// from the third is used this often, far beyond what hides the fetch.
const TASK_PIXELS: usize = 512;

/// Panels of a task at most: the sums of four are 256 KiB at most, and usually less.
const TASK_PANELS: usize = 4;

/// Bytes of input that go by one cacheful of weights: a third of the same cache. With a stride, rows of output reach over
/// so many more rows of input.
const INPUT_BYTES: usize = 320 << 10;

/// A gathering of one blocked image batch into one planar one.
pub(crate) struct Gather {
    isa: Isa,
    input: Blocked,
    /// Planar output: channels, height, width.
    out: (usize, usize, usize),
    phases_y: Vec<Phase>,
    phases_x: Vec<Phase>,
    /// From one weight to the next in memory, along output channel, input channel, kernel row, kernel column.
    weight: [usize; 4],
}

impl Gather {
    /// `x` to `y`.
    pub fn forward(s: &ConvShape, isa: Isa) -> Self {
        let p = s.padding;
        let axis = |count: usize, taps: usize| Phase {
            first_out: 0,
            out_step: 1,
            count,
            first_in: 0,
            in_step: s.stride,
            taps,
            kernel_first: 0,
            kernel_step: 1,
        };
        Self {
            isa,
            input: Blocked::new(s.n, s.c_in, s.h, s.w).padded(p, p, s.h + 2 * p, s.w + 2 * p),
            out: (s.c_out, s.out_h(), s.out_w()),
            phases_y: vec![axis(s.out_h(), s.kh)],
            phases_x: vec![axis(s.out_w(), s.kw)],
            weight: [s.c_in * s.kh * s.kw, s.kh * s.kw, s.kw, 1],
        }
    }

    /// `gy` to `gx`.
    pub fn grad_input(s: &ConvShape, isa: Isa) -> Self {
        let (phases_y, top, height) = transposed(s.h, s.kh, s.stride, s.padding);
        let (phases_x, left, width) = transposed(s.w, s.kw, s.stride, s.padding);
        let input = Blocked::new(s.n, s.c_out, s.out_h(), s.out_w());
        Self {
            isa,
            input: input.padded(top, left, height, width),
            out: (s.c_in, s.h, s.w),
            phases_y,
            phases_x,
            weight: [s.kh * s.kw, s.c_in * s.kh * s.kw, s.kw, 1],
        }
    }

    /// Output channels of a panel of packed weights.
    fn panel(&self) -> usize {
        self.isa.tile().1 * LANES
    }

    /// Output channels, rounded up to whole vectors.
    fn out_lanes(&self) -> usize {
        self.out.0.next_multiple_of(LANES)
    }

    /// Values of k for one pair of phases.
    fn depth(&self, y: &Phase, x: &Phase) -> usize {
        self.input.blocks() * self.input.lanes * y.taps * x.taps
    }

    /// f32 elements of the packed weights.
    pub fn packed_len(&self) -> usize {
        let taps = |phases: &[Phase]| phases.iter().map(|p| p.taps).sum::<usize>();
        self.input.blocks()
            * self.input.lanes
            * taps(&self.phases_y)
            * taps(&self.phases_x)
            * self.out_lanes()
    }

    /// Brings the weights into the order in which tiles read them: phase pair, panel of output channels, block of input
    /// channels, kernel row, kernel column, lane; then the panel's channels.
    pub fn pack(&self, w: &[f32], packed: &mut [f32]) {
        let taps = self.taps();
        let to = Shared::new(&mut packed[..self.packed_len()]);
        let blocks = self.input.blocks();
        (0..self.out_lanes().div_ceil(self.panel()) * blocks)
            .into_par_iter()
            .for_each(|index| {
                let first = index / blocks * self.panel();
                let task = Pack {
                    gather: self,
                    taps: &taps,
                    first,
                    width: self.panel().min(self.out_lanes() - first),
                    block: index % blocks,
                    w,
                    to,
                };
                dispatch(self.isa, task);
            });
    }

    /// Where each tap of the kernel goes, in the order in which the weight has them.
    fn taps(&self) -> Vec<Tap> {
        let (mut taps, mut start) = (Vec::new(), 0);
        for (y, x) in self.phase_pairs() {
            for m in 0..y.taps * x.taps {
                let (a, b) = (y.kernel(m / x.taps), x.kernel(m % x.taps));
                let tap = Tap {
                    start,
                    depth: self.depth(y, x),
                    count: y.taps * x.taps,
                    number: m,
                };
                taps.push((a * self.weight[2] + b * self.weight[3], tap));
            }
            start += self.depth(y, x) * self.out_lanes();
        }
        taps.sort_unstable_by_key(|&(place, _)| place);
        taps.into_iter().map(|(_, tap)| tap).collect()
    }

    fn phase_pairs(&self) -> impl Iterator<Item = (&Phase, &Phase)> {
        self.phases_y
            .iter()
            .flat_map(|y| self.phases_x.iter().map(move |x| (y, x)))
    }

    /// Convolves `input` (planar) with packed weights; `output` (planar) is overwritten.
    pub fn run(&self, input: &[f32], packed: &[f32], output: &mut [f32]) {
        let (channels, oh, ow) = self.out;
        let most = (TASK_PIXELS / ow).min(self.rows_in_cache());
        let rows = most.clamp(1, oh);
        let (groups, panels) = (oh.div_ceil(rows), channels.div_ceil(self.panel()));
        // Where there is work for all threads anyway, a task takes several small images past the weights that it has
        // fetched, and several panels past the input.
        let enough = 8 * rayon::current_num_threads();
        let together = self.input.group(groups * panels, 2 * enough);
        let pile = (most / oh)
            .min(panels * together / enough)
            .clamp(1, together);
        let side = panels * together.div_ceil(pile) * groups / enough;
        let side = side.clamp(1, TASK_PANELS.min(panels));
        let (sides, to) = (panels.div_ceil(side), Shared::new(output));
        let len = self.input.channels * self.input.h * self.input.w;
        for (number, images) in input.chunks(together * len).enumerate() {
            let (first_image, n) = (number * together, images.len() / len);
            let blocked = self.input.images(n).convert(self.isa, images);
            let piles = n.div_ceil(pile);
            // Panels vary slowest: neighbours in time share a panel in the last-level cache.
            (0..sides * piles * groups)
                .into_par_iter()
                .for_each(|index| {
                    let (part, image, group) = (
                        index / groups / piles,
                        index / groups % piles,
                        index % groups,
                    );
                    let task = Task {
                        gather: self,
                        input: flat(&blocked),
                        packed,
                        to,
                        first_image,
                        images: (image * pile, n.min((image + 1) * pile)),
                        panels: (part * side, panels.min((part + 1) * side)),
                        rows: (group * rows, rows.min(oh - group * rows)),
                    };
                    dispatch(self.isa, task);
                });
        }
    }

    /// Rows of output whose input stays in the cache along with [`WEIGHTS_BYTES`] of weights.
    fn rows_in_cache(&self) -> usize {
        let widest = |phases: &[Phase]| phases.iter().map(|p| p.taps).max().unwrap_or(1).max(1);
        let (taps, l) = (widest(&self.phases_y) * widest(&self.phases_x), &self.input);
        let blocks = (WEIGHTS_BYTES / (4 * taps * l.lanes * self.panel())).clamp(1, l.blocks());
        let step = self.phases_y.iter().map(|p| p.in_step).max().unwrap_or(1);
        let out_step = self.phases_y.len();
        INPUT_BYTES * out_step / (4 * blocks * step * l.width * l.lanes)
    }

    /// Packs and convolves.
    pub fn pack_and_run(&self, input: &[f32], w: &[f32], output: &mut [f32]) {
        let mut packed: Scratch = take(self.packed_len());
        self.pack(w, flat_mut(&mut packed));
        self.run(input, flat(&packed), output);
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
            let (x, w) = (noise::<f32>(s.x_len(), 1), noise::<f32>(s.w_len(), 2));
            let gy = noise::<f32>(s.y_len(), 3);
            let (mut y, mut gx) = (vec![0.0; s.y_len()], vec![0.0; s.x_len()]);
            plain::conv_forward(&s, &x, &w, &mut y);
            plain::conv_grad_input(&s, &w, &gy, &mut gx);
            for isa in Isa::available() {
                let mut got = vec![f32::NAN; s.y_len()];
                Gather::forward(&s, isa).pack_and_run(&x, &w, &mut got);
                assert_close(&got, &y, 1e-5);
                let mut got = vec![f32::NAN; s.x_len()];
                Gather::grad_input(&s, isa).pack_and_run(&gy, &w, &mut got);
                assert_close(&got, &gx, 1e-5);
            }
        }
    }
}

//! The products of one task, between the input and the sums of its pixels.

use super::super::blocked::{Shared, deinterleave};
use super::super::tile::{Place, Product, Run, Walk};
use super::{Gather, Phase, WEIGHTS_BYTES};
use crate::scratch::take;
use crate::simd::{Kernel, LANES, Simd, flat_mut};

/// Runs of one batch at most; they are kept on the stack.
const MOST_RUNS: usize = 128;

/// Some rows of the output of some images, for some panels of channels.
pub(super) struct Task<'a> {
    pub gather: &'a Gather,
    pub input: &'a [f32],
    pub packed: &'a [f32],
    pub to: Shared,
    /// The place in the batch of the input's first image.
    pub first_image: usize,
    /// First and end, counted from there.
    pub images: (usize, usize),
    /// First and end.
    pub panels: (usize, usize),
    /// First and count.
    pub rows: (usize, usize),
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let g = self.gather;
        let (channels, oh, ow) = g.out;
        let (first_row, rows) = self.rows;
        let mut sums = take((self.panels.1 - self.panels.0) * self.sums_len());
        let sums = flat_mut(&mut sums);
        let mut offset = 0;
        for (y, x) in g.phase_pairs() {
            let depth = g.depth(y, x);
            if depth == 0 {
                self.clear(y, x, sums);
            } else {
                self.phases(
                    s,
                    y,
                    x,
                    &self.packed[offset..][..depth * g.out_lanes()],
                    sums,
                );
            }
            offset += depth * g.out_lanes();
        }
        let images = self.images.1 - self.images.0;
        for (index, sums) in sums.chunks(self.sums_len() / images).enumerate() {
            let (panel, image) = (
                self.panels.0 + index / images,
                self.images.0 + index % images,
            );
            let width = self.width(panel);
            for v in 0..width / LANES {
                let channel = panel * g.panel() + v * LANES;
                let start =
                    ((self.first_image + image) * channels + channel) * oh * ow + first_row * ow;
                let size = (rows * ow, LANES.min(channels - channel));
                // SAFETY: the output is borrowed by `Gather::run`; no other task has these rows of these images' channels.
                unsafe {
                    deinterleave(s, &sums[v * LANES..], width, size, self.to, start, oh * ow);
                }
            }
        }
    }
}

impl Task<'_> {
    /// Elements of the sums of one panel: images, rows, columns, channels.
    fn sums_len(&self) -> usize {
        (self.images.1 - self.images.0) * self.image_len()
    }

    /// Elements of the sums of one panel and one image.
    fn image_len(&self) -> usize {
        self.rows.1 * self.gather.out.2 * self.gather.panel()
    }

    /// Channels of a panel, rounded up to whole vectors.
    fn width(&self, panel: usize) -> usize {
        let g = self.gather;
        g.panel().min(g.out_lanes() - panel * g.panel())
    }

    /// The rows of this task that belong to a phase, as t.
    #[inline(always)]
    fn rows_of(&self, y: &Phase) -> std::ops::Range<usize> {
        let (first, rows) = self.rows;
        let t = |row: usize| {
            row.saturating_sub(y.first_out)
                .div_ceil(y.out_step)
                .min(y.count)
        };
        t(first)..t(first + rows)
    }

    /// The place of output (t, column phase's first) among the sums.
    #[inline(always)]
    fn start(&self, y: &Phase, x: &Phase, t: usize, width: usize) -> usize {
        ((y.first_out + t * y.out_step - self.rows.0) * self.gather.out.2 + x.first_out) * width
    }

    /// A phase without taps: no weight meets these pixels.
    #[inline(always)]
    fn clear(&self, y: &Phase, x: &Phase, sums: &mut [f32]) {
        let images = self.images.1 - self.images.0;
        for (index, sums) in sums.chunks_mut(self.image_len()).enumerate() {
            let width = self.width(self.panels.0 + index / images);
            for (t, pixel) in self
                .rows_of(y)
                .flat_map(|t| (0..x.count).map(move |pixel| (t, pixel)))
            {
                sums[self.start(y, x, t, width) + pixel * x.out_step * width..][..width].fill(0.0);
            }
        }
    }

    /// All products of one pair of phases: a cacheful of weights at a time, for every panel, so that the input that
    /// goes with it is fetched once.
    #[inline(always)]
    fn phases<S: Simd>(&self, s: S, y: &Phase, x: &Phase, weights: &[f32], sums: &mut [f32]) {
        let input = &self.gather.input;
        let len = x.taps * input.lanes;
        let all = input.blocks() * y.taps;
        let batch = (WEIGHTS_BYTES / (4 * len * self.gather.panel())).clamp(1, MOST_RUNS.min(all));
        let mut runs = [Run::default(); MOST_RUNS];
        for first in (0..all).step_by(batch) {
            let count = batch.min(all - first);
            for (panel, sums) in
                (self.panels.0..self.panels.1).zip(sums.chunks_mut(self.sums_len()))
            {
                let width = self.width(panel);
                let weights =
                    &weights[all * len * panel * self.gather.panel()..][..all * len * width];
                for (i, run) in runs[..count].iter_mut().enumerate() {
                    let (block, a) = ((first + i) / y.taps, (first + i) % y.taps);
                    run.a = block * input.plane() + a * input.width * input.lanes;
                    run.b = (first + i) * len * width;
                }
                let walk = Walk {
                    a_row: x.in_step * input.lanes,
                    a_step: 1,
                    b_step: width,
                    b_vector: LANES,
                    len,
                };
                let place = Place {
                    row: x.out_step * width,
                    vector: LANES,
                    add: first > 0,
                };
                let size = (x.count, width / LANES);
                let images = (self.images.0..self.images.1).zip(sums.chunks_mut(self.image_len()));
                for (image, sums) in images {
                    for t in self.rows_of(y) {
                        if x.count == 0 {
                            continue;
                        }
                        let row = (y.first_in + t * y.in_step) * input.width + x.first_in;
                        let a = &self.input[image * input.image() + row * input.lanes..];
                        let c = &mut sums[self.start(y, x, t, width)..];
                        s.outline(Product {
                            size,
                            walk,
                            runs: &runs[..count],
                            a,
                            b: weights,
                            c,
                            place,
                        });
                    }
                }
            }
        }
    }
}

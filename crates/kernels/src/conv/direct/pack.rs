//! Weights in the order in which tiles read them.

use super::super::pack::turn;
use super::{Gather, Phase};
use crate::simd::{Kernel, LANES, Simd};

/// The weights from one block of input channels to one panel of output channels, for one pair of phases.
pub(super) struct Pack<'a> {
    pub gather: &'a Gather,
    pub y: &'a Phase,
    pub x: &'a Phase,
    pub first: usize,
    pub width: usize,
    pub block: usize,
    pub w: &'a [f32],
    pub packed: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (g, width, lanes) = (self.gather, self.width, self.gather.input.lanes);
        let channel = self.block * lanes;
        let (channels, outs) = (
            lanes.min(g.input.channels - channel),
            width.min(g.out.0 - self.first),
        );
        if channels < lanes || outs < width {
            self.packed.fill(0.0);
        }
        // Where each tap is in the kernel, and where it goes.
        let taps: Vec<(usize, usize)> = (0..self.y.taps * self.x.taps)
            .map(|m| {
                let (a, b) = (
                    self.y.kernel(m / self.x.taps),
                    self.x.kernel(m % self.x.taps),
                );
                (a * g.weight[2] + b * g.weight[3], m * lanes * width)
            })
            .collect();
        let start = self.first * g.weight[0] + channel * g.weight[1];
        let w = &self.w[start..];
        let ordered = taps.iter().enumerate().all(|(m, &(from, _))| from == m);
        if ordered && taps.len() == g.weight[1] {
            // Forward: the weights of an output channel lie in a row. Sixteen rows are turned at a time.
            let mut to: Vec<usize> = Vec::with_capacity(channels * taps.len());
            for c in 0..channels {
                to.extend(taps.iter().map(|&(_, to)| to + c * width));
            }
            let mut o = 0;
            while o < outs {
                let count = LANES.min(outs - o);
                turn(
                    s,
                    &w[o * g.weight[0]..],
                    g.weight[0],
                    count,
                    &to,
                    &mut self.packed[o..],
                );
                o += count;
            }
            return;
        }
        // The gradient of the input: kernels lie side by side along the panel's channels.
        for c in 0..channels {
            for o in 0..outs {
                let (from, to) = (
                    &w[c * g.weight[1] + o * g.weight[0]..],
                    &mut self.packed[c * width + o..],
                );
                for &(a, b) in &taps {
                    to[b] = from[a];
                }
            }
        }
    }
}

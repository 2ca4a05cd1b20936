//! Weights in the order in which tiles read them.

use super::super::blocked::Shared;
use super::super::pack::turn_into;
use super::Gather;
use crate::simd::{Kernel, LANES, Simd};

/// A tap of the kernel: it belongs to one pair of phases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    /// Where the weights of its phases begin.
    pub start: usize,
    /// Values of k of these phases.
    pub depth: usize,
    /// Taps of these phases.
    pub count: usize,
    /// Its number among them.
    pub number: usize,
}

/// The weights from one block of input channels to one panel of output channels. A kernel's taps lie side by side in the
/// weight and go to the places of their phases, so every value is read once, whatever the number of phases.
pub(super) struct Pack<'a> {
    pub gather: &'a Gather,
    /// In the order in which they lie in the weight.
    pub taps: &'a [Tap],
    /// First output channel of the panel.
    pub first: usize,
    pub width: usize,
    pub block: usize,
    pub w: &'a [f32],
    pub to: Shared,
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
        // Where the first channel of each tap goes.
        let mut to: Vec<usize> = Vec::with_capacity(channels * self.taps.len());
        for tap in self.taps {
            let block = (self.block * tap.count + tap.number) * lanes * width;
            to.push(tap.start + tap.depth * self.first + block);
        }
        if channels < lanes || outs < width {
            for &to in &to {
                // SAFETY: `Gather::pack` borrows the whole; this panel's and block's places are this task's alone.
                unsafe { self.to.span(to, lanes * width) }.fill(0.0);
            }
        }
        let (taps, [out, inp, ..]) = (self.taps.len(), g.weight);
        let w = &self.w[self.first * out + channel * inp..];
        // Forward, the kernels of all input channels of an output channel lie in a row as well.
        let (rows, each) = if inp == taps {
            for c in 1..channels {
                to.extend_from_within(..taps);
                to[c * taps..].iter_mut().for_each(|to| *to += c * width);
            }
            (1, channels)
        } else {
            (channels, 1)
        };
        for c in 0..rows {
            for o in (0..outs).step_by(LANES) {
                let (from, count) = (&w[c * inp + o * out..], LANES.min(outs - o));
                // SAFETY: as above, for `count` channels of the panel from the o-th on.
                unsafe {
                    turn_into(
                        s,
                        from,
                        out,
                        count,
                        &to[..each * taps],
                        self.to,
                        c * width + o,
                    );
                }
            }
        }
    }
}

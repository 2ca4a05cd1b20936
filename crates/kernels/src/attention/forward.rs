//! The forward pass of one head after the other.

use rayon::prelude::*;

use super::{AttentionShape, BLOCK, gather, gather_turned, weigh};
use crate::conv::blocked::Shared;
use crate::dense::{Factors, multiply};
use crate::scratch::take;
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, flat_mut};

pub(super) fn forward(isa: Isa, s: &AttentionShape, [q, k, v]: [&[f32]; 3], y: &mut [f32]) {
    let to = Shared::new(y);
    (0..s.n * s.heads).into_par_iter().for_each(|index| {
        dispatch(
            isa,
            Head {
                s,
                q,
                k,
                v,
                to,
                index,
            },
        );
    });
}

/// One head of one image.
struct Head<'a> {
    s: &'a AttentionShape,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    to: Shared,
    index: usize,
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let s = self.s;
        let (lanes, wide) = (s.key_lanes(), s.depth_lanes());
        let (asking, answering) = (s.start(self.index, s.queries), s.start(self.index, s.keys));
        let mut buffer = take(s.depth * lanes + s.keys * wide + BLOCK * lanes + BLOCK * wide);
        let (turned, rest) = flat_mut(&mut buffer).split_at_mut(s.depth * lanes);
        let (values, rest) = rest.split_at_mut(s.keys * wide);
        let (weights, rest) = rest.split_at_mut(BLOCK * lanes);
        let sums = &mut rest[..BLOCK * wide];
        gather_turned(simd, s, &self.k[answering..], turned);
        gather(s, &self.v[answering..], s.keys, values);
        for first in (0..s.queries).step_by(BLOCK) {
            let rows = BLOCK.min(s.queries - first);
            let seen = s.seen(first + rows);
            let start = asking + first * s.width();
            let scores = Factors {
                size: (rows, seen.div_ceil(LANES)),
                a: &self.q[start..],
                a_row: s.width(),
                a_step: 1,
                b: turned,
                b_step: lanes,
                len: s.depth,
            };
            multiply(simd, &scores, weights, lanes, false);
            weigh(s, first, &mut weights[..rows * lanes], lanes);
            let mixed = Factors {
                size: (rows, wide / LANES),
                a: weights,
                a_row: lanes,
                a_step: 1,
                b: values,
                b_step: wide,
                len: seen,
            };
            multiply(simd, &mixed, sums, wide, false);
            for (row, sums) in sums.chunks_exact(wide).take(rows).enumerate() {
                // SAFETY: `forward` holds y for writing; no other task has this head of this image.
                let y = unsafe { self.to.span(start + row * s.width(), s.depth) };
                y.copy_from_slice(&sums[..s.depth]);
            }
        }
    }
}

//! The backward pass of one head after the other.

use rayon::prelude::*;

use super::{AttentionShape, BLOCK, gather, gather_turned, weigh};
use crate::conv::blocked::Shared;
use crate::dense::{Factors, multiply};
use crate::math::sum;
use crate::scratch::take;
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, flat_mut};

/// From q, k, v and gy to the gradients of q, k and v.
pub(super) fn backward(isa: Isa, s: &AttentionShape, from: [&[f32]; 4], to: [&mut [f32]; 3]) {
    let to = to.map(Shared::new);
    (0..s.n * s.heads)
        .into_par_iter()
        .for_each(|index| dispatch(isa, Head { s, from, to, index }));
}

/// One head of one image.
struct Head<'a> {
    s: &'a AttentionShape,
    from: [&'a [f32]; 4],
    to: [Shared; 3],
    index: usize,
}

/// Splits stretches of these lengths off the front of a buffer.
#[inline(always)]
fn split<const N: usize>(mut buffer: &mut [f32], lengths: [usize; N]) -> [&mut [f32]; N] {
    lengths.map(|len| {
        let (part, rest) = std::mem::take(&mut buffer).split_at_mut(len);
        buffer = rest;
        part
    })
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (s, [q, k, v, gy]) = (self.s, self.from);
        let (lanes, wide) = (s.key_lanes(), s.depth_lanes());
        let (asking, answering) = (s.start(self.index, s.queries), s.start(self.index, s.keys));
        let (turned, rows, block) = (s.depth * lanes, s.keys * wide, BLOCK * wide);
        let weights = BLOCK * lanes;
        let lengths = [
            turned, turned, rows, rows, rows, block, block, block, weights, weights,
        ];
        let mut buffer = take(lengths.iter().sum());
        let [kt, vt, keys, gk, gv, asked, gys, gq, p, gs] = split(flat_mut(&mut buffer), lengths);
        gather_turned(simd, s, &k[answering..], kt);
        gather_turned(simd, s, &v[answering..], vt);
        gather(s, &k[answering..], s.keys, keys);
        gk.fill(0.0);
        gv.fill(0.0);
        for first in (0..s.queries).step_by(BLOCK) {
            let rows = BLOCK.min(s.queries - first);
            let seen = s.seen(first + rows);
            let start = asking + first * s.width();
            gather(s, &q[start..], rows, asked);
            gather(s, &gy[start..], rows, gys);
            // a · bᵀ for a block of rows and a turned operand.
            let scores = |a: &[f32], b: &[f32], c: &mut [f32]| {
                let factors = Factors {
                    size: (rows, seen.div_ceil(LANES)),
                    a,
                    a_row: wide,
                    a_step: 1,
                    b,
                    b_step: lanes,
                    len: s.depth,
                };
                multiply(simd, &factors, c, lanes, false);
            };
            scores(asked, kt, p);
            weigh(s, first, &mut p[..rows * lanes], lanes);
            scores(gys, vt, gs);
            slopes(
                s.scale(),
                &p[..rows * lanes],
                &mut gs[..rows * lanes],
                lanes,
                seen,
            );
            // cᵀ · b added to the gradients of all keys.
            let add = |c: &[f32], b: &[f32], to: &mut [f32]| {
                let factors = Factors {
                    size: (seen, wide / LANES),
                    a: c,
                    a_row: 1,
                    a_step: lanes,
                    b,
                    b_step: wide,
                    len: rows,
                };
                multiply(simd, &factors, to, wide, true);
            };
            add(p, gys, gv);
            add(gs, asked, gk);
            let factors = Factors {
                size: (rows, wide / LANES),
                a: gs,
                a_row: lanes,
                a_step: 1,
                b: keys,
                b_step: wide,
                len: seen,
            };
            multiply(simd, &factors, gq, wide, false);
            self.put(0, start, rows, gq);
        }
        self.put(1, answering, s.keys, gk);
        self.put(2, answering, s.keys, gv);
    }
}

impl Head<'_> {
    /// Writes rows of whole vectors to a gradient.
    #[inline(always)]
    fn put(&self, which: usize, start: usize, rows: usize, from: &[f32]) {
        let s = self.s;
        for (row, from) in from.chunks_exact(s.depth_lanes()).take(rows).enumerate() {
            // SAFETY: `backward` holds the gradients for writing; no other task has this head of this image.
            let to = unsafe { self.to[which].span(start + row * s.width(), s.depth) };
            to.copy_from_slice(&from[..s.depth]);
        }
    }
}

/// The gradients of the weights to those of the scores, in place: `p (gp − Σ gp p) · scale`.
#[inline(always)]
fn slopes(scale: f32, p: &[f32], gp: &mut [f32], lanes: usize, seen: usize) {
    // What the products have written; beyond it the weights are zero, and the buffer holds anything.
    let written = seen.next_multiple_of(LANES);
    for (p, gp) in p.chunks_exact(lanes).zip(gp.chunks_exact_mut(lanes)) {
        let (p, (gp, beyond)) = (&p[..written], gp.split_at_mut(written));
        beyond.fill(0.0);
        let level = sum(gp, p, |gp, p| gp * p);
        for (g, &p) in gp.iter_mut().zip(p) {
            *g = p * (*g - level) * scale;
        }
    }
}

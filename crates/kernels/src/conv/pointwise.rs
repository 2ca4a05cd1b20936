//! The gradient of a 1 × 1 weight over large planes: `gw[o, c] = Σ_{n, p} gy[n, o, p] · x[n, c, p]`.
//!
//! The sum runs along pixels, the contiguous direction of both sides, so both have to be turned. A task turns a stretch of
//! pixels of all channels inside the second-level cache and adds the product to sums of its own, so neither side makes a
//! round trip through memory in another order. The sums of the tasks are added up in a fixed order.

use rayon::prelude::*;

use super::ConvShape;
use super::blocked::Shared;
use crate::dense::{Factors, multiply};
use crate::scratch::take;
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, flat, flat_mut};

/// Pixels of a stretch: with 384 channels in all 192 KiB of a common second-level cache (1 MiB), and as many terms as a tile
/// sums in registers.
const STRETCH: usize = 128;

/// Sums of a task at most: 256 KiB, beside the stretch in that cache.
const MOST_SUMS: usize = 1 << 16;

/// Parts that the pixels are split into. The number must not depend on that of the threads, or results would.
const PARTS: usize = 16;

/// Whether this form is the one to take; the caller knows that the kernel is 1 × 1 and the stride one.
pub(super) fn pays(s: &ConvShape) -> bool {
    let lanes = |channels: usize| channels.next_multiple_of(LANES);
    s.h * s.w >= STRETCH
        && s.c_in >= LANES
        && s.c_out >= LANES
        && lanes(s.c_in) * lanes(s.c_out) <= MOST_SUMS
}

struct Plan<'a> {
    s: &'a ConvShape,
    x: &'a [f32],
    gy: &'a [f32],
    /// Channels of x and of gy, rounded up to whole vectors.
    lanes: (usize, usize),
    /// Stretches of one image.
    stretches: usize,
    parts: usize,
}

/// `gw` is overwritten.
pub(super) fn grad_weight(s: &ConvShape, isa: Isa, x: &[f32], gy: &[f32], gw: &mut [f32]) {
    let lanes = (
        s.c_in.next_multiple_of(LANES),
        s.c_out.next_multiple_of(LANES),
    );
    let stretches = (s.h * s.w).div_ceil(STRETCH);
    let plan = Plan {
        s,
        x,
        gy,
        lanes,
        stretches,
        parts: PARTS.min(s.n * stretches),
    };
    let len = lanes.0 * lanes.1;
    let mut sums = take(plan.parts * len);
    let to = Shared::new(flat_mut(&mut sums));
    (0..plan.parts).into_par_iter().for_each(|part| {
        dispatch(
            isa,
            Part {
                plan: &plan,
                part,
                to,
            },
        );
    });
    let sums = flat(&sums);
    gw.par_chunks_mut(s.c_in).enumerate().for_each(|(o, gw)| {
        for (c, gw) in gw.iter_mut().enumerate() {
            *gw = (0..plan.parts)
                .map(|part| sums[part * len + c * lanes.1 + o])
                .sum();
        }
    });
}

/// Some stretches.
struct Part<'a> {
    plan: &'a Plan<'a>,
    part: usize,
    to: Shared,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (p, s) = (self.plan, self.plan.s);
        let plane = s.h * s.w;
        let (c, o) = p.lanes;
        // SAFETY: `grad_weight` holds the sums for writing; each part has a stretch of its own.
        let sums = unsafe { self.to.span(self.part * c * o, c * o) };
        let mut buffer = take(STRETCH * (c + o));
        let (xs, gys) = flat_mut(&mut buffer).split_at_mut(STRETCH * c);
        let all = s.n * p.stretches;
        let (first, last) = (self.part * all / p.parts, (self.part + 1) * all / p.parts);
        for index in first..last {
            let (image, stretch) = (index / p.stretches, index % p.stretches);
            // Split evenly, so that no image ends with a few pixels.
            let begin = stretch * plane / p.stretches;
            let len = (stretch + 1) * plane / p.stretches - begin;
            let sides = [(p.x, s.c_in, c, &mut *xs), (p.gy, s.c_out, o, &mut *gys)];
            for (from, channels, lanes, to) in sides {
                turn(
                    simd,
                    &from[image * channels * plane + begin..],
                    plane,
                    channels,
                    lanes,
                    &mut to[..len * lanes],
                );
            }
            let factors = Factors {
                size: (c, o / LANES),
                a: xs,
                a_row: 1,
                a_step: c,
                b: gys,
                b_step: o,
                len,
            };
            multiply(simd, &factors, sums, o, index > first);
        }
    }
}

/// `to[pixel][lanes]` from `channels` lines of pixels; zeros behind the last channel.
#[inline(always)]
fn turn<S: Simd>(
    simd: S,
    from: &[f32],
    plane: usize,
    channels: usize,
    lanes: usize,
    to: &mut [f32],
) {
    let pixels = to.len() / lanes;
    for first in (0..channels).step_by(LANES) {
        let count = LANES.min(channels - first);
        let from = &from[first * plane..];
        let mut done = 0;
        while count == LANES && done + LANES <= pixels {
            assert!((LANES - 1) * plane + done + LANES <= from.len());
            // SAFETY: the assert bounds the farthest of the sixteen reads.
            let lines: [S::V; LANES] = unsafe { simd.load_rows(from.as_ptr().add(done), plane) };
            let columns = simd.transpose(lines);
            for j in 0..LANES {
                let to = &mut to[(done + j) * lanes + first..][..LANES];
                // SAFETY: `to` holds sixteen.
                unsafe { simd.store(columns[j], to.as_mut_ptr()) };
            }
            done += LANES;
        }
        for j in done..pixels {
            let to = &mut to[j * lanes + first..][..LANES];
            for c in 0..count {
                to[c] = from[c * plane + j];
            }
            to[count..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shape;
    use super::*;
    use crate::plain;
    use crate::testing::{assert_close, noise};

    #[test]
    fn every_instruction_set_agrees_with_plain() {
        for [n, c, size, o] in [
            [1, 16, 12, 16],
            [2, 17, 13, 33],
            [3, 40, 12, 19],
            [1, 1, 12, 3],
            [1, 5, 1, 7],
            [2, 130, 16, 70],
        ] {
            let s = shape([n, c, size, size, o, 1, 1, 1, 0]);
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

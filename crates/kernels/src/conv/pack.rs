//! Reading kernels for packing: sixteen output channels side by side.

use crate::simd::{LANES, Simd};

/// How 3 × 3 kernels lie in memory: distances from one output and one input channel to the next; whether each kernel is to
/// be turned by 180°, as the gradient of the input asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelOrder {
    pub out: usize,
    pub inp: usize,
    pub turned: bool,
}

/// Sixteen input channels from `inp.0` on times sixteen output channels from `out.0` on, into
/// `plain[input channel][tap][output channel]`; zeros for channels from `inp.1` and `out.1` on.
#[inline(always)]
pub(crate) fn kernels<S: Simd>(
    s: S,
    w: &[f32],
    order: KernelOrder,
    out: (usize, usize),
    inp: (usize, usize),
    plain: &mut [f32; LANES * 9 * LANES],
) {
    let (outs, inps) = (
        LANES.min(out.1.saturating_sub(out.0)),
        LANES.min(inp.1.saturating_sub(inp.0)),
    );
    if outs < LANES || inps < LANES {
        plain.fill(0.0);
    }
    if outs == 0 || inps == 0 {
        return;
    }
    let w = &w[out.0 * order.out + inp.0 * order.inp..];
    if order.inp == 9 && !order.turned {
        let mut to = [0; LANES * 9];
        for (k, to) in to.iter_mut().enumerate() {
            *to = k * LANES;
        }
        turn(s, w, order.out, outs, &to[..inps * 9], plain);
        return;
    }
    for c in 0..inps {
        for o in 0..outs {
            let from = &w[c * order.inp + o * order.out..][..9];
            let to = &mut plain[c * 9 * LANES + o..][..8 * LANES + 1];
            for tap in 0..9 {
                to[tap * LANES] = from[if order.turned { 8 - tap } else { tap }];
            }
        }
    }
}

/// `packed[to[k] + row] = w[row·stride + k]` for rows `0..rows` (at most sixteen).
#[inline(always)]
pub(crate) fn turn<S: Simd>(
    s: S,
    w: &[f32],
    stride: usize,
    rows: usize,
    to: &[usize],
    packed: &mut [f32],
) {
    let mut done = 0;
    while rows == LANES && done + LANES <= to.len() {
        let last = (LANES - 1) * stride + done + LANES;
        assert!(last <= w.len());
        // SAFETY: the assert bounds the farthest of the sixteen reads.
        let lines: [S::V; LANES] = unsafe { s.load_rows(w.as_ptr().add(done), stride) };
        let columns = s.transpose(lines);
        for k in 0..LANES {
            let to = &mut packed[to[done + k]..][..LANES];
            // SAFETY: `to` holds sixteen.
            unsafe { s.store(columns[k], to.as_mut_ptr()) };
        }
        done += LANES;
    }
    for (k, &to) in to.iter().enumerate().skip(done) {
        for o in 0..rows {
            packed[to + o] = w[o * stride + k];
        }
    }
}

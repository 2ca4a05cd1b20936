//! Reading kernels for packing: sixteen output channels side by side.

use super::blocked::Shared;
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
    let mut to = [0; LANES * 9];
    for (k, to) in to.iter_mut().enumerate() {
        *to = k * LANES;
    }
    if order.inp == 9 && !order.turned {
        turn(s, w, order.out, outs, &to[..inps * 9], plain);
        return;
    }
    let to = &mut to[..9];
    if order.turned {
        to.reverse();
    }
    for c in 0..inps {
        let (from, plain) = (&w[c * order.inp..], &mut plain[c * 9 * LANES..]);
        turn(s, from, order.out, outs, to, plain);
    }
}

/// Columns that are left over and still turned sixteen at a time: of sixteen that are read, so many are kept.
const WORTH_TURNING: usize = 4;

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
    // SAFETY: the slice is borrowed for writing, and nobody else has it.
    unsafe { turn_into(s, w, stride, rows, to, Shared::new(packed), 0) };
}

/// [`turn`] into a part of what several threads write: `packed[start + to[k] + row]`.
///
/// # Safety
/// As [`Shared::span`], for `rows` elements from each of these places on.
#[inline(always)]
pub(crate) unsafe fn turn_into<S: Simd>(
    s: S,
    w: &[f32],
    stride: usize,
    rows: usize,
    to: &[usize],
    packed: Shared,
    start: usize,
) {
    let mut done = 0;
    while rows == LANES && done < to.len() {
        let count = LANES.min(to.len() - done);
        // A last stretch may read on into the rows that follow, as long as that is still w.
        if count < WORTH_TURNING || (LANES - 1) * stride + done + LANES > w.len() {
            break;
        }
        // SAFETY: the farthest of the sixteen reads is in bounds, as just seen.
        let lines: [S::V; LANES] = unsafe { s.load_rows(w.as_ptr().add(done), stride) };
        let columns = s.transpose(lines);
        for k in 0..count {
            // SAFETY: handed on to the caller; `span` checks the bounds and holds sixteen.
            unsafe {
                let to = packed.span(start + to[done + k], LANES);
                s.store(columns[k], to.as_mut_ptr());
            }
        }
        done += count;
    }
    for (k, &to) in to.iter().enumerate().skip(done) {
        // SAFETY: handed on to the caller; `span` checks the bounds.
        let to = unsafe { packed.span(start + to, rows) };
        for (o, to) in to.iter_mut().enumerate() {
            *to = w[o * stride + k];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel, dispatch};
    use crate::testing::noise;

    struct Turn<'a> {
        w: &'a [f32],
        stride: usize,
        rows: usize,
        to: &'a [usize],
        packed: &'a mut [f32],
    }

    impl Kernel for Turn<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            turn(s, self.w, self.stride, self.rows, self.to, self.packed);
        }
    }

    #[test]
    fn turning_moves_every_value_and_reads_none_behind_the_end() {
        for (stride, columns) in [
            (1, 1),
            (4, 3),
            (9, 9),
            (25, 25),
            (49, 40),
            (16, 16),
            (33, 33),
        ] {
            for rows in [1, 7, 16] {
                // No value more than there must be.
                let w = noise::<f32>((rows - 1) * stride + columns, 1);
                let to: Vec<usize> = (0..columns).map(|k| (columns - 1 - k) * 17 + 2).collect();
                for isa in Isa::available() {
                    let mut packed = vec![f32::NAN; columns * 17 + 2];
                    let (w, to) = (w.as_slice(), to.as_slice());
                    let kernel = Turn {
                        w,
                        stride,
                        rows,
                        to,
                        packed: &mut packed,
                    };
                    dispatch(isa, kernel);
                    for (k, row) in (0..columns).flat_map(|k| (0..rows).map(move |row| (k, row))) {
                        assert_eq!(packed[to[k] + row], w[row * stride + k]);
                    }
                    assert!(packed[0].is_nan());
                }
            }
        }
    }
}

//! A filter that is no outer product: each row of its taps over the line that it meets.

use rayon::prelude::*;

use super::horizontal::{Horizontal, Scratch};
use super::{Axis, UpFirDnShape, axes};
use crate::Float;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// `taps [fh, fw]` along the correlation, with the gain.
pub(super) fn run<T: Float>(isa: Isa, s: &UpFirDnShape, taps: &[T], x: &[T], y: &mut [T]) {
    let (vertical, horizontal) = axes(s);
    let long: Option<Vec<Horizontal<T>>> = taps
        .chunks_exact(s.fw)
        .map(|taps| Horizontal::new(s, taps))
        .collect();
    let (oh, ow) = (s.out_h(), s.out_w());
    y.par_chunks_mut(ow)
        .enumerate()
        .for_each_init(Scratch::default, |scratch, (row, y)| {
            let plane = &x[row / oh * s.h * s.w..][..s.h * s.w];
            match &long {
                Some(long) => dispatch(
                    isa,
                    Line {
                        s,
                        vertical: &vertical,
                        long,
                        plane,
                        i: row % oh,
                        y,
                        scratch,
                    },
                ),
                None => both(s, [&vertical, &horizontal], taps, plane, row % oh, y),
            }
        });
}

/// One line of output.
struct Line<'a, T> {
    s: &'a UpFirDnShape,
    vertical: &'a Axis,
    /// For each row of taps.
    long: &'a [Horizontal<T>],
    plane: &'a [T],
    i: usize,
    y: &'a mut [T],
    scratch: &'a mut Scratch<T>,
}

impl<T: Float> Kernel for Line<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (w, scratch) = (self.s.w, self.scratch);
        self.y.fill(T::zero());
        self.long[0].clear(scratch);
        // Not a closure given to the axis: that is compiled apart, without the instruction set.
        let mut rows = Vec::with_capacity(self.long.len());
        self.vertical
            .visit(self.i, |a, source| rows.push((a, source)));
        for (a, source) in rows {
            let line = &self.plane[source * w..][..w];
            self.long[a].line(scratch, w).copy_from_slice(line);
            self.long[a].filter(scratch, self.y, true);
        }
    }
}

/// One line of output, where both factors are above 1 along the line.
fn both<T: Float>(
    s: &UpFirDnShape,
    [vertical, horizontal]: [&Axis; 2],
    taps: &[T],
    plane: &[T],
    i: usize,
    y: &mut [T],
) {
    y.fill(T::zero());
    vertical.visit(i, |a, source| {
        let (taps, source) = (&taps[a * s.fw..][..s.fw], &plane[source * s.w..][..s.w]);
        for (j, value) in y.iter_mut().enumerate() {
            horizontal.visit(j, |b, pixel| *value += taps[b] * source[pixel]);
        }
    });
}

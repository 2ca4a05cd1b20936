//! Both sides of a product in the order in which tiles read them.

use rayon::prelude::*;

use super::panel;
use crate::conv::pack::turn;
use crate::gemm::MatRef;
use crate::scratch::{Scratch, take};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, flat, flat_mut};

/// Brings `b [k, n]` into panels of columns: panel, k, column. Columns up to a whole vector are zeros.
pub(super) fn pack(isa: Isa, k: usize, n: usize, b: MatRef<'_, f32>, packed: &mut [f32]) {
    let wide = panel(isa);
    let whole = n / wide * wide;
    let (panels, last) = packed[..super::packed_len(k, n)].split_at_mut(k * whole);
    let one = |first: usize, packed: &mut [f32]| {
        dispatch(
            isa,
            Pack {
                k,
                n,
                first,
                b,
                packed,
            },
        );
    };
    panels
        .par_chunks_mut(k * wide)
        .enumerate()
        .for_each(|(i, packed)| one(i * wide, packed));
    if !last.is_empty() {
        one(whole, last);
    }
}

/// One panel, whose width follows from the length.
struct Pack<'a> {
    k: usize,
    n: usize,
    first: usize,
    b: MatRef<'a, f32>,
    packed: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (k, b, packed) = (self.k, self.b, self.packed);
        let width = packed.len() / k;
        let columns = width.min(self.n - self.first);
        let from = &b.data[self.first * b.col_stride..];
        if columns < width {
            packed.fill(0.0);
        }
        if b.col_stride == 1 {
            for (row, packed) in packed.chunks_exact_mut(width).enumerate() {
                packed[..columns].copy_from_slice(&from[row * b.row_stride..][..columns]);
            }
        } else if b.row_stride == 1 {
            let to: Vec<usize> = (0..k).map(|row| row * width).collect();
            for first in (0..columns).step_by(LANES) {
                let rows = LANES.min(columns - first);
                let from = &from[first * b.col_stride..];
                turn(s, from, b.col_stride, rows, &to, &mut packed[first..]);
            }
        } else {
            for (row, packed) in packed.chunks_exact_mut(width).enumerate() {
                for (column, packed) in packed[..columns].iter_mut().enumerate() {
                    *packed = from[row * b.row_stride + column * b.col_stride];
                }
            }
        }
    }
}

/// The left side `x [m, k]`.
pub(super) enum Left<'a> {
    /// As it lies.
    Own(MatRef<'a, f32>),
    /// Copied, with this distance between rows.
    Copy(Scratch, usize),
}

/// f32 elements whose multiples as a distance between rows put all rows of a tile on the same lines of a first-level cache
/// (4 KiB to a way): 14 rows are more than its eight ways hold.
const CLASH: usize = 1024;

/// Rows that are copied at once.
const STRIP: usize = LANES;

impl<'a> Left<'a> {
    pub fn new(isa: Isa, m: usize, k: usize, x: MatRef<'a, f32>) -> Self {
        let (step, other) = match x.row_stride {
            1 => (x.row_stride, x.col_stride),
            _ => (x.col_stride, x.row_stride),
        };
        if step == 1 && (m < 8 || other % CLASH != 0) {
            return Self::Own(x);
        }
        let pitch = k.next_multiple_of(LANES);
        let pitch = pitch
            + if pitch.is_multiple_of(CLASH) {
                LANES
            } else {
                0
            };
        let mut copy = take(m * pitch);
        flat_mut(&mut copy)[..m * pitch]
            .par_chunks_mut(STRIP * pitch)
            .enumerate()
            .for_each(|(strip, to)| {
                let first = strip * STRIP;
                let rows = STRIP.min(m - first);
                dispatch(
                    isa,
                    Strip {
                        x,
                        first,
                        rows,
                        k,
                        pitch,
                        to,
                    },
                );
            });
        Self::Copy(copy, pitch)
    }

    /// The elements, and the distances between rows and between columns.
    pub fn rows(&self) -> (&[f32], usize, usize) {
        match self {
            Self::Own(x) => (x.data, x.row_stride, x.col_stride),
            Self::Copy(copy, pitch) => (flat(copy), *pitch, 1),
        }
    }
}

/// Some rows of the left side.
struct Strip<'a> {
    x: MatRef<'a, f32>,
    first: usize,
    rows: usize,
    k: usize,
    pitch: usize,
    to: &'a mut [f32],
}

impl Kernel for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (x, k, pitch) = (self.x, self.k, self.pitch);
        let from = &x.data[self.first * x.row_stride..];
        if x.col_stride == 1 {
            for row in 0..self.rows {
                self.to[row * pitch..][..k].copy_from_slice(&from[row * x.row_stride..][..k]);
            }
            return;
        }
        let mut done = 0;
        // Sixteen by sixteen, where the columns are contiguous.
        while x.row_stride == 1 && self.rows == LANES && done + LANES <= k {
            let columns = &from[done * x.col_stride..];
            assert!((LANES - 1) * x.col_stride + LANES <= columns.len());
            // SAFETY: the assert bounds the farthest of the sixteen reads.
            let columns: [S::V; LANES] = unsafe { s.load_rows(columns.as_ptr(), x.col_stride) };
            let rows = s.transpose(columns);
            for row in 0..LANES {
                let to = &mut self.to[row * pitch + done..][..LANES];
                // SAFETY: `to` holds sixteen.
                unsafe { s.store(rows[row], to.as_mut_ptr()) };
            }
            done += LANES;
        }
        for row in 0..self.rows {
            for column in done..k {
                self.to[row * pitch + column] = from[row * x.row_stride + column * x.col_stride];
            }
        }
    }
}

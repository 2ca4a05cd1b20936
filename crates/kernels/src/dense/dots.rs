//! Products with few rows, as scalar products: `y[i, j] = Σ_k x[i, k] · w[j, k]`.
//!
//! With a batch of a few rows, each weight is used so few times that bringing it into another order costs more than the
//! product. Where both sides lie contiguous along k (a fully connected layer's weight `[out, in]` does) they are read as they
//! lie, sixteen values of k at a time; the speed is that at which the weights arrive.

use rayon::prelude::*;

use super::SEQUENTIAL;
use crate::conv::blocked::Shared;
use crate::gemm::{MatRef, Product};
use crate::simd::{Block, Isa, Kernel, LANES, Simd, dispatch};

/// Rows of a tile at most: with [`COLUMNS`] they are 24 sums, which hide the latency of the multiply-add several times over and
/// fit the 32 registers of AVX-512 beside what is loaded.
const ROWS: usize = 8;
/// Columns of a tile.
const COLUMNS: usize = 3;
/// Columns of a task: 24 KiB of weights for each 128 values of k, some microseconds for common sizes.
const STRIP: usize = 16 * COLUMNS;

/// Rows up to which this is faster than packing the right side on the way.
const MOST_ROWS: usize = 16;

/// Whether this form is the one to take.
pub(super) fn pays(p: Product, a: &MatRef<'_, f32>, b: &MatRef<'_, f32>) -> bool {
    p.m <= MOST_ROWS && p.k >= LANES && a.col_stride == 1 && b.row_stride == 1
}

/// `y = a · b`. The caller has checked the sizes.
pub(super) fn product(isa: Isa, p: Product, a: MatRef<'_, f32>, b: MatRef<'_, f32>, y: &mut [f32]) {
    let to = Shared::new(y);
    let one = |strip: usize| {
        let first = strip * STRIP;
        let task = Strip {
            p,
            a,
            b,
            columns: (first, p.n.min(first + STRIP)),
            to,
        };
        dispatch(isa, task);
    };
    let strips = p.n.div_ceil(STRIP);
    if p.m.saturating_mul(p.n).saturating_mul(p.k) <= SEQUENTIAL {
        (0..strips).for_each(one);
    } else {
        (0..strips).into_par_iter().for_each(one);
    }
}

/// Some columns, for all rows.
struct Strip<'a> {
    p: Product,
    a: MatRef<'a, f32>,
    b: MatRef<'a, f32>,
    /// First and end.
    columns: (usize, usize),
    to: Shared,
}

impl Kernel for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for column in (self.columns.0..self.columns.1).step_by(COLUMNS) {
            let columns = COLUMNS.min(self.columns.1 - column);
            let groups = self.p.m.div_ceil(ROWS);
            for group in 0..groups {
                // Split evenly: nine rows are 5 + 4 and not 8 + 1.
                let (row, end) = (group * self.p.m / groups, (group + 1) * self.p.m / groups);
                macro_rules! sizes {
                    ($($r:literal)*) => {
                        match (end - row, columns) {
                            $(($r, COLUMNS) => self.tile::<S, $r, COLUMNS>(s, row, column),)*
                            $(($r, _) => {
                                for column in column..column + columns {
                                    self.tile::<S, $r, 1>(s, row, column);
                                }
                            })*
                            _ => unreachable!("a tile of {} rows", end - row),
                        }
                    };
                }
                sizes!(1 2 3 4 5 6 7 8);
            }
        }
    }
}

impl Strip<'_> {
    /// `R` rows by `C` columns.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(&self, s: S, row: usize, column: usize) {
        let (k, whole) = (self.p.k, self.p.k / LANES * LANES);
        let (a_row, b_column) = (self.a.row_stride, self.b.col_stride);
        let a = &self.a.data[row * a_row..];
        let b = &self.b.data[column * b_column..];
        assert!((R - 1) * a_row + k <= a.len() && (C - 1) * b_column + k <= b.len());
        let mut sums = [[s.splat(0.0); C]; R];
        for at in (0..whole).step_by(LANES) {
            // SAFETY: at + 16 ≤ k, and the assert bounds k values of the last row and column.
            unsafe {
                let bs: [S::V; C] = s.load_rows(b.as_ptr().add(at), b_column);
                for i in 0..R {
                    let x = s.load(a.as_ptr().add(i * a_row + at));
                    for j in 0..C {
                        sums[i][j] = s.mul_add(x, bs[j], sums[i][j]);
                    }
                }
            }
        }
        for i in 0..R {
            // SAFETY: `product` holds y for writing; no other task has these columns.
            let y = unsafe { self.to.span((row + i) * self.p.n + column, C) };
            for j in 0..C {
                let mut lanes = Block::ZERO;
                s.put(sums[i][j], &mut lanes);
                let mut width = LANES / 2;
                while width > 0 {
                    for lane in 0..width {
                        lanes.0[lane] += lanes.0[lane + width];
                    }
                    width /= 2;
                }
                let rest = (whole..k).map(|at| a[i * a_row + at] * b[j * b_column + at]);
                y[j] = lanes.0[0] + rest.sum::<f32>();
            }
        }
    }
}

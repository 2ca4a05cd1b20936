//! Matrix products whose right side lies packed: `y = x · b + bias`.
//!
//! Fully connected layers use the same `b` again and again; a frozen one packs it once ([`PackedMatrix`]). Other large products
//! pack it on the way (`product`): it is read once for that, and then as often as there are tiles of rows. The left side is
//! read where it lies, value by value and broadcast, as in [`crate::conv`]'s micro-kernel.
//! Shapes: `x [m, k]`, `b [k, n]`, `bias [n]`, `y [m, n]` row-major and contiguous. f32.

mod dots;
mod pack;

use rayon::prelude::*;

use self::pack::{Left, pack};
use crate::conv::blocked::Shared;
use crate::conv::tile::{self, Place, Run, Walk};
use crate::error::{Check, Result};
use crate::gemm::{MatRef, Product};
use crate::scratch::take;
use crate::simd::{Block, Isa, Kernel, LANES, Simd, dispatch, flat, flat_mut};

const OPERATOR: &str = "packed matrix product";

/// Rows of a task at most: eight of the largest tiles. With [`DEPTH`] they take 224 KiB of a common second-level cache (1 MiB).
const ROWS: usize = 112;

/// Values of k that are gone through for all panels of a task before the next: with a panel 64 KiB, beside the rows in that
/// cache. A multiple of [`TERMS`].
const DEPTH: usize = 512;

/// Terms that a tile sums in registers; see the micro-kernel.
const TERMS: usize = 128;

/// Panels of a task at most: their sums take 112 KiB of the same cache.
const PANELS: usize = 8;

/// Multiply-adds below which one thread does it all: waking another costs about as long.
const SEQUENTIAL: usize = 1 << 20;

/// Rows from which packing the right side on the way pays: each element is then used so many times.
const LEAST_ROWS: usize = 12;

/// Values of k from which it pays; with fewer, a tile spends its time on being begun and written.
const LEAST_DEPTH: usize = 96;

/// A matrix `b [k, n]` in the order in which tiles read it, ready for any number of rows.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    k: usize,
    n: usize,
    isa: Isa,
    data: Vec<Block>,
}

impl PackedMatrix {
    /// Packs `b [k, n]`; of a batch the first.
    ///
    /// # Errors
    ///
    /// A size of zero; a slice too short for its strides.
    pub fn new(k: usize, n: usize, b: MatRef<'_, f32>) -> Result<Self> {
        Self::on(Isa::best(), k, n, b)
    }

    fn on(isa: Isa, k: usize, n: usize, b: MatRef<'_, f32>) -> Result<Self> {
        let p = Product {
            batch: 1,
            m: 1,
            n,
            k,
        };
        p.check_operand("b", &b, k, n)?;
        let mut data = vec![Block::ZERO; packed_len(k, n) / LANES];
        pack(isa, k, n, b, flat_mut(&mut data));
        Ok(Self { k, n, isa, data })
    }

    /// Rows of the matrix.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns of the matrix.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.data.as_slice())
    }

    /// `y = x · b + bias` for `m` rows; `y` is overwritten.
    ///
    /// # Errors
    ///
    /// A size of zero; slices of another length than `x [m, k]`, `bias [n]` and `y [m, n]` ask for.
    pub fn run(
        &self,
        m: usize,
        x: MatRef<'_, f32>,
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) -> Result<()> {
        let p = Product {
            batch: 1,
            m,
            n: self.n,
            k: self.k,
        };
        p.check_operand("x", &x, m, self.k)?;
        let check = Check {
            operator: OPERATOR,
            shape: &p,
        };
        check.length("y", y.len(), check.count("y", &[m, self.n])?)?;
        bias.map_or(Ok(()), |bias| check.length("bias", bias.len(), self.n))?;
        run(self.isa, p, x, flat(&self.data), bias, y);
        Ok(())
    }
}

/// Whether [`product`] is faster than the crate `gemm`.
pub(crate) fn pays(p: Product, a: &MatRef<'_, f32>, b: &MatRef<'_, f32>) -> bool {
    dots::pays(p, a, b) || (p.m >= LEAST_ROWS && p.n >= 2 * LANES && p.k >= LEAST_DEPTH)
}

/// `y = a · b`. The caller has checked the sizes.
pub(crate) fn product(p: Product, a: MatRef<'_, f32>, b: MatRef<'_, f32>, y: &mut [f32]) {
    let isa = Isa::best();
    if dots::pays(p, &a, &b) {
        dots::product(isa, p, a, b, y);
        return;
    }
    let mut packed = take(packed_len(p.k, p.n));
    let packed = flat_mut(&mut packed);
    pack(isa, p.k, p.n, b, packed);
    run(isa, p, a, packed, None, y);
}

/// How a right side `[k, n]` lies packed, for those who make one themselves: panel, row, column. Columns up to a whole vector are
/// zeros.
pub(crate) struct Panels {
    k: usize,
    n: usize,
    wide: usize,
}

impl Panels {
    pub fn new(k: usize, n: usize) -> Self {
        let wide = panel(Isa::best());
        Self { k, n, wide }
    }

    /// f32 elements of all.
    pub fn len(&self) -> usize {
        packed_len(self.k, self.n)
    }

    /// f32 elements of each panel but the last, which may have fewer.
    pub fn panel_len(&self) -> usize {
        self.k * self.wide
    }

    /// First column of a panel, and how many it has with the zeros.
    pub fn columns(&self, index: usize) -> (usize, usize) {
        let first = index * self.wide;
        (first, self.wide.min(self.n.next_multiple_of(LANES) - first))
    }
}

/// `y = a · b` with `b` packed as [`Panels`] says. The caller has checked the sizes.
pub(crate) fn product_of_packed(p: Product, a: MatRef<'_, f32>, packed: &[f32], y: &mut [f32]) {
    run(Isa::best(), p, a, packed, None, y);
}

/// f32 elements of a packed matrix.
fn packed_len(k: usize, n: usize) -> usize {
    k * n.next_multiple_of(LANES)
}

/// Columns of a panel.
fn panel(isa: Isa) -> usize {
    isa.tile().1 * LANES
}

fn run(
    isa: Isa,
    p: Product,
    x: MatRef<'_, f32>,
    packed: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let left = Left::new(isa, p.m, p.k, x);
    let (x, x_stride, x_step) = left.rows();
    let (blocks, panels) = (p.m.div_ceil(ROWS), p.n.div_ceil(panel(isa)));
    let enough = 8 * rayon::current_num_threads();
    let side = (blocks * panels / enough).clamp(1, PANELS);
    let sides = panels.div_ceil(side);
    let to = Shared::new(y);
    // Panels vary slowest: neighbours in time share them in the last-level cache.
    let one = |index: usize| {
        let (part, block) = (index / blocks, index % blocks);
        // Split evenly: 120 rows are 60 + 60 and not 112 + 8.
        let row = |block: usize| block * p.m / blocks;
        let task = Task {
            p,
            isa,
            x,
            x_stride,
            x_step,
            packed,
            bias,
            to,
            rows: (row(block), row(block + 1)),
            panels: (part * side, panels.min((part + 1) * side)),
        };
        dispatch(isa, task);
    };
    if p.m.saturating_mul(p.n).saturating_mul(p.k) <= SEQUENTIAL {
        (0..sides * blocks).for_each(one);
    } else {
        (0..sides * blocks).into_par_iter().for_each(one);
    }
}

/// Some rows of some panels.
struct Task<'a> {
    p: Product,
    isa: Isa,
    x: &'a [f32],
    x_stride: usize,
    x_step: usize,
    packed: &'a [f32],
    bias: Option<&'a [f32]>,
    to: Shared,
    /// First and end.
    rows: (usize, usize),
    /// First and end.
    panels: (usize, usize),
}

impl Task<'_> {
    /// Whole rows of y: the tiles write them where they stay, which matters where k is short.
    #[inline(always)]
    fn straight<S: Simd>(&self, s: S) {
        let (k, n, wide) = (self.p.k, self.p.n, panel(self.isa));
        let (first, rows) = (self.rows.0, self.rows.1 - self.rows.0);
        // SAFETY: `run` holds y for writing; no other task has these rows.
        let y = unsafe { self.to.span(first * n, rows * n) };
        if let Some(bias) = self.bias {
            for y in y.chunks_exact_mut(n) {
                y.copy_from_slice(bias);
            }
        }
        for begin in (0..k).step_by(DEPTH) {
            for index in self.panels.0..self.panels.1 {
                let factors = self.factors(index, begin);
                let add = begin > 0 || self.bias.is_some();
                multiply(s, &factors, &mut y[index * wide..], n, add);
            }
        }
    }

    /// The operands of a panel from `begin` on.
    #[inline(always)]
    fn factors(&self, index: usize, begin: usize) -> Factors<'_> {
        let (k, width) = (self.p.k, self.width(index));
        Factors {
            size: (self.rows.1 - self.rows.0, width / LANES),
            a: &self.x[self.rows.0 * self.x_stride + begin * self.x_step..],
            a_row: self.x_stride,
            a_step: self.x_step,
            b: &self.packed[k * index * panel(self.isa) + begin * width..],
            b_step: width,
            len: DEPTH.min(k - begin),
        }
    }

    /// Columns of a panel, rounded up to whole vectors.
    fn width(&self, index: usize) -> usize {
        panel(self.isa).min(self.p.n.next_multiple_of(LANES) - index * panel(self.isa))
    }
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (k, n) = (self.p.k, self.p.n);
        let (first, rows) = (self.rows.0, self.rows.1 - self.rows.0);
        let wide = panel(self.isa);
        if n % LANES == 0 && self.panels == (0, n.div_ceil(wide)) {
            self.straight(s);
            return;
        }
        let mut sums = take((self.panels.1 - self.panels.0) * rows * wide);
        let sums = flat_mut(&mut sums);
        for begin in (0..k).step_by(DEPTH) {
            for (index, sums) in (self.panels.0..self.panels.1).zip(sums.chunks_mut(rows * wide)) {
                let width = self.width(index);
                multiply(s, &self.factors(index, begin), sums, width, begin > 0);
            }
        }
        for (index, sums) in (self.panels.0..self.panels.1).zip(sums.chunks(rows * wide)) {
            let (width, column) = (self.width(index), index * wide);
            let columns = width.min(n - column);
            for (row, sums) in sums.chunks_exact(width).take(rows).enumerate() {
                // SAFETY: `run` holds y for writing; no other task has these rows of these columns.
                let y = unsafe { self.to.span((first + row) * n + column, columns) };
                match self.bias {
                    Some(bias) => {
                        let bias = &bias[column..][..columns];
                        for i in 0..columns {
                            y[i] = sums[i] + bias[i];
                        }
                    }
                    None => y.copy_from_slice(&sums[..columns]),
                }
            }
        }
    }
}

/// A product for the micro-kernel: `c[i][v] = Σ_k a[i·a_row + k·a_step] · b[k·b_step + v·16]`.
pub(crate) struct Factors<'a> {
    /// Rows and vectors of the result.
    pub size: (usize, usize),
    pub a: &'a [f32],
    pub a_row: usize,
    pub a_step: usize,
    pub b: &'a [f32],
    pub b_step: usize,
    /// Values of k, at least one.
    pub len: usize,
}

/// Writes a product to `c`, whose rows are `row` apart, or adds it to what is there.
#[inline(always)]
pub(crate) fn multiply<S: Simd>(s: S, f: &Factors<'_>, c: &mut [f32], row: usize, add: bool) {
    const RUNS: usize = DEPTH / TERMS;
    let whole = f.len / TERMS;
    let mut place = Place {
        row,
        vector: LANES,
        add,
    };
    let mut runs = [Run::default(); RUNS];
    let mut begin = 0;
    // Stretches of equal length, and what is left over.
    while begin < f.len {
        let (count, len) = match (whole - begin / TERMS).min(RUNS) {
            0 => (1, f.len - begin),
            count => (count, TERMS),
        };
        for (i, run) in runs[..count].iter_mut().enumerate() {
            let k = begin + i * len;
            *run = Run {
                a: k * f.a_step,
                b: k * f.b_step,
            };
        }
        let walk = Walk {
            a_row: f.a_row,
            a_step: f.a_step,
            b_step: f.b_step,
            b_vector: LANES,
            len,
        };
        s.outline(tile::Product {
            size: f.size,
            walk,
            runs: &runs[..count],
            a: f.a,
            b: f.b,
            c,
            place,
        });
        place.add = true;
        begin += count * len;
    }
}

#[cfg(test)]
mod tests;

//! Matrix products: `c = alpha · a b + beta · c`, one or a batch of them.
//!
//! The work is done by the crate `gemm` (AVX-512, AVX2 + FMA, NEON or portable, chosen at run time). This
//! module adds what it leaves to the caller: bounds, transposes by stride, and threads.
//! Shapes: `a [batch, m, k]`, `b [batch, k, n]`, `c [batch, m, n]` row-major and contiguous.

use rayon::prelude::*;

use crate::error::{Check, Error, Result};
use crate::float::{as_f32, as_f32_mut};
use crate::{Float, dense};

const OPERATOR: &str = "matrix product";

/// A product below this many multiply-adds runs on the calling thread: waking a thread costs some
/// microseconds, in which a core does about this many.
const SEQUENTIAL: usize = 1 << 20;

/// A matrix, or a batch of matrices, in a slice. Element (i, r, c) is
/// `data[i * batch_stride + r * row_stride + c * col_stride]`. Strides of zero repeat.
#[derive(Debug, Clone, Copy)]
pub struct MatRef<'a, T> {
    /// The elements.
    pub data: &'a [T],
    /// From one row to the next.
    pub row_stride: usize,
    /// From one column to the next.
    pub col_stride: usize,
    /// From one matrix of the batch to the next.
    pub batch_stride: usize,
}

impl<'a, T> MatRef<'a, T> {
    /// `[batch, rows, cols]`, contiguous.
    pub fn row_major(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self {
            data,
            row_stride: cols,
            col_stride: 1,
            batch_stride: rows.saturating_mul(cols),
        }
    }

    /// The transposes of `[batch, rows, cols]`, contiguous: cols × rows matrices.
    pub fn transposed(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self {
            data,
            row_stride: 1,
            col_stride: cols,
            batch_stride: rows.saturating_mul(cols),
        }
    }

    fn as_f32(&self) -> Option<MatRef<'a, f32>>
    where
        T: Float,
    {
        Some(MatRef {
            data: as_f32(self.data)?,
            row_stride: self.row_stride,
            col_stride: self.col_stride,
            batch_stride: self.batch_stride,
        })
    }

    fn last(&self, batch: usize, rows: usize, cols: usize) -> Option<usize> {
        let b = (batch - 1).checked_mul(self.batch_stride)?;
        let r = (rows - 1).checked_mul(self.row_stride)?;
        let c = (cols - 1).checked_mul(self.col_stride)?;
        b.checked_add(r)?.checked_add(c)
    }
}

/// The sizes of a product, or of `batch` products of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Number of products.
    pub batch: usize,
    /// Rows of `a` and `c`.
    pub m: usize,
    /// Columns of `b` and `c`.
    pub n: usize,
    /// Columns of `a`, rows of `b`.
    pub k: usize,
}

impl Product {
    /// Refuses sizes of zero, and an operand `[rows, cols]` that does not fill its strides.
    pub(crate) fn check_operand<T>(
        &self,
        name: &'static str,
        mat: &MatRef<'_, T>,
        rows: usize,
        cols: usize,
    ) -> Result<()> {
        let check = Check {
            operator: OPERATOR,
            shape: self,
        };
        check.non_zero(&[
            ("batch", self.batch),
            ("m", self.m),
            ("n", self.n),
            ("k", self.k),
        ])?;
        let last = mat
            .last(self.batch, rows, cols)
            .ok_or_else(|| check.overflow(name))?;
        if last >= mat.data.len() {
            let (operator, shape) = (OPERATOR, format!("{self:?}"));
            let (expected, found) = (last.saturating_add(1), mat.data.len());
            return Err(Error::Length {
                operator,
                name,
                shape,
                expected,
                found,
            });
        }
        Ok(())
    }

    fn check<T>(&self, a: &MatRef<'_, T>, b: &MatRef<'_, T>, c: usize) -> Result<()> {
        let check = Check {
            operator: OPERATOR,
            shape: self,
        };
        self.check_operand("a", a, self.m, self.k)?;
        self.check_operand("b", b, self.k, self.n)?;
        check.length("c", c, check.count("c", &[self.batch, self.m, self.n])?)
    }
}

/// `c = alpha · a b + beta · c` for each product of the batch; `c [batch, m, n]`. With `beta` zero, `c` is not read.
///
/// # Errors
///
/// A size of zero, a slice too short for its strides, `c` of another length than `batch · m · n`.
pub fn gemm<T: Float>(
    p: Product,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    c: &mut [T],
) -> Result<()> {
    p.check(&a, &b, c.len())?;
    let work = p.m.saturating_mul(p.n).saturating_mul(p.k);
    let plain = p.batch == 1 && alpha == T::one() && beta == T::zero();
    if plain
        && let (Some(a), Some(b)) = (a.as_f32(), b.as_f32())
        && let Some(c) = as_f32_mut(c).filter(|_| dense::pays(p, &a, &b))
    {
        dense::product(p, a, b, c);
        return Ok(());
    }
    let one = |i: usize, c: &mut [T], parallel: bool| {
        let a = MatRef {
            data: &a.data[i * a.batch_stride..],
            ..a
        };
        let b = MatRef {
            data: &b.data[i * b.batch_stride..],
            ..b
        };
        single(p, alpha, a, b, beta, c, p.n, parallel);
    };
    // A large product spreads over the threads by itself; small ones are spread whole.
    if p.batch == 1 || work > 16 * SEQUENTIAL {
        c.chunks_mut(p.m * p.n)
            .enumerate()
            .for_each(|(i, c)| one(i, c, work > SEQUENTIAL));
    } else if work.saturating_mul(p.batch) <= SEQUENTIAL {
        c.chunks_mut(p.m * p.n)
            .enumerate()
            .for_each(|(i, c)| one(i, c, false));
    } else {
        c.par_chunks_mut(p.m * p.n)
            .enumerate()
            .for_each(|(i, c)| one(i, c, false));
    }
    Ok(())
}

/// One product into a `c` whose rows are `c_stride` apart. The caller has checked the sizes; the bounds are
/// asserted all the same, since what follows trusts them.
#[allow(clippy::too_many_arguments)] // BLAS's own list.
pub(crate) fn single<T: Float>(
    p: Product,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    c: &mut [T],
    c_stride: usize,
    parallel: bool,
) {
    let Product { m, n, k, .. } = p;
    assert!(a.last(1, m, k).is_some_and(|last| last < a.data.len()));
    assert!(b.last(1, k, n).is_some_and(|last| last < b.data.len()));
    assert!(c_stride >= n && c.len() >= (m - 1) * c_stride + n);
    let threads = if parallel {
        gemm::Parallelism::Rayon(0)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: the last element of each matrix lies in its slice (asserted above) and strides are not
    // negative, so every access is in bounds; c is borrowed mutably, its rows do not overlap.
    // The crate names the factors the other way round: its alpha multiplies what c held.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_stride as isize,
            beta != T::zero(),
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            beta,
            alpha,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain;
    use crate::testing::{assert_close, noise};

    #[test]
    fn agrees_with_plain_in_all_transpose_forms() {
        for (batch, m, n, k) in [
            (1, 1, 1, 1),
            (2, 3, 5, 7),
            (3, 17, 33, 13),
            (1, 129, 130, 131),
            (5, 50, 50, 64),
            (3, 12, 35, 48),
            (2, 31, 97, 203),
        ] {
            // With factors of 1 and 0, several other paths.
            let forms = (0..4).flat_map(|form| [(form, 0.5, 0.25), (form, 1.0, 0.0)]);
            for (form, alpha, beta) in forms {
                let p = Product { batch, m, n, k };
                let (a, b) = (
                    noise::<f32>(batch * m * k, 1),
                    noise::<f32>(batch * k * n, 2),
                );
                let a = if form & 1 == 0 {
                    MatRef::row_major(&a, m, k)
                } else {
                    MatRef::transposed(&a, k, m)
                };
                let b = if form & 2 == 0 {
                    MatRef::row_major(&b, k, n)
                } else {
                    MatRef::transposed(&b, n, k)
                };
                let start = noise::<f32>(batch * m * n, 3);
                let (mut got, mut want) = (start.clone(), start);
                gemm(p, alpha, a, b, beta, &mut got).unwrap();
                plain::gemm(p, alpha, a, b, beta, &mut want);
                assert_close(&got, &want, 1e-5);
            }
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let p = Product {
            batch: 1,
            m: 2,
            n: 2,
            k: 2,
        };
        let x = [0.0f32; 4];
        let whole = MatRef::row_major(&x, 2, 2);
        let short = MatRef::row_major(&x[..3], 2, 2);
        assert!(gemm(p, 1.0, whole, whole, 0.0, &mut [0.0; 4]).is_ok());
        assert!(gemm(p, 1.0, short, whole, 0.0, &mut [0.0; 4]).is_err());
        assert!(gemm(p, 1.0, whole, short, 0.0, &mut [0.0; 4]).is_err());
        assert!(gemm(p, 1.0, whole, whole, 0.0, &mut [0.0; 3]).is_err());
        let zero = Product { k: 0, ..p };
        assert!(gemm(zero, 1.0, whole, whole, 0.0, &mut [0.0; 4]).is_err());
        let huge = MatRef {
            row_stride: usize::MAX,
            ..whole
        };
        assert!(gemm(p, 1.0, huge, whole, 0.0, &mut [0.0; 4]).is_err());
    }
}

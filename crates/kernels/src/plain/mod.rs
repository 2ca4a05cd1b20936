//! The formulas written down as loops: slow, obvious, and what every fast path is tested against.
//!
//! Sums run in f64 for both types. Sizes are those that the fast path's check accepts; these functions
//! panic on slices that do not fit.

mod attention;
mod conv;
mod upfirdn;

pub use attention::{attention, attention_backward};
pub use conv::{conv_forward, conv_grad_input, conv_grad_weight};
pub use upfirdn::upfirdn2d;

use crate::Float;
use crate::gemm::{MatRef, Product};

/// `c = alpha · a b + beta · c`, see [`crate::gemm`].
pub fn gemm<T: Float>(
    p: Product,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    c: &mut [T],
) {
    let at = |m: &MatRef<'_, T>, i: usize, r: usize, c: usize| {
        m.data[i * m.batch_stride + r * m.row_stride + c * m.col_stride].wide()
    };
    for (index, value) in c.iter_mut().enumerate() {
        let (i, row, col) = (index / (p.m * p.n), index / p.n % p.m, index % p.n);
        let sum: f64 = (0..p.k)
            .map(|k| at(&a, i, row, k) * at(&b, i, k, col))
            .sum();
        let before = if beta == T::zero() {
            0.0
        } else {
            beta.wide() * value.wide()
        };
        *value = T::of(alpha.wide() * sum + before);
    }
}

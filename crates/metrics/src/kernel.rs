//! Kernel distance of two sets (Bińkowski et al. 2018, arXiv 1801.01401; KID, on whatever features were chosen).
//!
//! The squared maximum mean discrepancy under the cubic kernel `k(x, y) = (x·y / d + 1)³`, without bias:
//!
//! ```text
//! mean over i ≠ j of k(aᵢ, aⱼ) + mean over i ≠ j of k(bᵢ, bⱼ) − 2 · mean over i, j of k(aᵢ, bⱼ)
//! ```

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Rows at once.
const ROWS: usize = 256;

/// The distance of the rows of `a: [n, d]` and `b: [m, d]`. It is about 0, on either side, for sets of one kind.
///
/// # Errors
///
/// Sets of other sizes of features, or with fewer than two rows.
pub fn kernel_distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    let ((n, d), (m, e)) = (a.dims2()?, b.dims2()?);
    if d != e {
        return Err(Error::unfit("size of the second set's features", e, d));
    }
    if n.min(m) < 2 {
        return Err(Error::unfit("rows of a set", n.min(m), "at least 2"));
    }
    let (a, b) = (a.to_dtype(DType::F64)?, b.to_dtype(DType::F64)?);
    let within = |x: &Tensor, n: usize| -> Result<f64> {
        let own = kernel(&x.sqr()?.sum(1)?, d)?.sum_all()?;
        let off = kernel_sum(x, x)? - own.to_scalar::<f64>()?;
        Ok(off / (n as f64 * (n - 1) as f64))
    };
    let between = kernel_sum(&a, &b)? / (n as f64 * m as f64);
    Ok(within(&a, n)? + within(&b, m)? - 2.0 * between)
}

/// The sum of the kernel over all pairs of rows.
fn kernel_sum(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (n, d) = a.dims2()?;
    let b = b.t()?;
    let mut sum = 0.0;
    for start in (0..n).step_by(ROWS) {
        let products = a.narrow(0, start, ROWS.min(n - start))?.matmul(&b)?;
        sum += kernel(&products, d)?.sum_all()?.to_scalar::<f64>()?;
    }
    Ok(sum)
}

/// `(x / d + 1)³` of each inner product.
fn kernel(products: &Tensor, d: usize) -> Result<Tensor> {
    let base = products.affine(1.0 / d as f64, 1.0)?;
    Ok((base.sqr()? * &base)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn rows(values: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(values.as_flattened(), (values.len(), 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn small_sets_by_hand() {
        // k(a₀, a₁) = 1, k(b₀, b₁) = (1 + 4/2)³ = 27; across: 1, 1, (1 + 2/2)³ = 8 and 8.
        let (a, b) = (
            rows(&[[0.0, 0.0], [1.0, 0.0]]),
            rows(&[[2.0, 0.0], [2.0, 0.0]]),
        );
        let found = kernel_distance(&a, &b).unwrap();
        assert!(
            (found - (1.0 + 27.0 - 2.0 * 18.0 / 4.0)).abs() < 1e-12,
            "{found}"
        );
    }

    #[test]
    fn sets_of_one_kind_are_near_and_others_are_not() {
        let set = |from: usize, shift: f32| {
            let value = |i: usize| ((i as f32 * 12.9898).sin() * 43758.547).fract() + shift;
            let values: Vec<f32> = (from..from + 1200).map(value).collect();
            Tensor::from_vec(values, (600, 2), &Device::Cpu).unwrap()
        };
        let near = kernel_distance(&set(0, 0.0), &set(5000, 0.0)).unwrap();
        let far = kernel_distance(&set(0, 0.0), &set(5000, 0.5)).unwrap();
        assert!(near.abs() < 0.02 && far > 0.2, "{near} {far}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let two = rows(&[[0.0, 0.0], [1.0, 0.0]]);
        assert!(kernel_distance(&two, &rows(&[[1.0, 1.0]])).is_err());
        let three = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        assert!(kernel_distance(&two, &three).is_err());
    }
}

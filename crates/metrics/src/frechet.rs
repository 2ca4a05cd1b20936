//! Fréchet distance of two normal distributions (Heusel et al. 2017, arXiv 1706.08500):
//!
//! ```text
//! d² = |m₁ − m₂|² + tr S₁ + tr S₂ − 2 tr (S₁^½ S₂ S₁^½)^½
//! ```
//!
//! The inner matrix is symmetric, so its root's trace is the sum of the roots of its eigenvalues:
//! no root of a general matrix, which loses half the digits where there are fewer rows than
//! features.

use faer::{Mat, Side};

use crate::{Error, Moments, Result};

/// The squared distance, as FID is given; covariances divide by n − 1.
///
/// # Errors
///
/// Sets of other sizes of features, or with fewer than two rows.
pub fn frechet(a: &Moments, b: &Moments) -> Result<f64> {
    if a.dim() != b.dim() {
        return Err(Error::unfit(
            "size of the second set's features",
            b.dim(),
            a.dim(),
        ));
    }
    let means = a.mean()?.into_iter().zip(b.mean()?);
    let means: f64 = means.map(|(x, y)| (x - y) * (x - y)).sum();
    let (s, t) = (a.covariance()?, b.covariance()?);
    let root = root(&s)?;
    let inner = symmetric(&(&root * &t * &root));
    let values = inner
        .self_adjoint_eigenvalues(Side::Lower)
        .map_err(|_| Error::Eigen)?;
    // Rounding makes some of the zeros negative.
    let common: f64 = values.iter().map(|x| x.max(0.0).sqrt()).sum();
    Ok(means + trace(&s) + trace(&t) - 2.0 * common)
}

/// The root of a positive semi-definite matrix.
fn root(s: &Mat<f64>) -> Result<Mat<f64>> {
    let eigen = symmetric(s)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::Eigen)?;
    let (u, values) = (eigen.U(), eigen.S().column_vector());
    let scaled = Mat::from_fn(s.nrows(), s.ncols(), |i, j| {
        u[(i, j)] * values[j].max(0.0).sqrt()
    });
    Ok(&scaled * u.transpose())
}

fn symmetric(s: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(s.nrows(), s.ncols(), |i, j| 0.5 * (s[(i, j)] + s[(j, i)]))
}

fn trace(s: &Mat<f64>) -> f64 {
    (0..s.nrows()).map(|i| s[(i, i)]).sum()
}

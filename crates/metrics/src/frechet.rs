//! Fréchet distance of two normal distributions (Heusel et al. 2017, arXiv 1706.08500), and what it would be with infinitely
//! many pictures (Chong & Forsyth 2020, arXiv 1911.07023).
//!
//! ```text
//! d² = |m₁ − m₂|² + tr S₁ + tr S₂ − 2 tr (S₁^½ S₂ S₁^½)^½
//! ```
//!
//! The inner matrix is symmetric, so its root's trace is the sum of the roots of its eigenvalues:
//! no root of a general matrix, which loses half the digits where there are fewer rows than
//! features.
//!
//! The distance of finitely many pictures is too large by about c/n, and c depends on the model. The extrapolation takes it at
//! several n, and a straight line through it over 1/n to 1/n = 0.

use candle_core::{Device, Tensor};
use domex_random::Stream;
use faer::{Mat, Side};
use serde::{Deserialize, Serialize};

use crate::{Error, Moments, Result, features};

/// The squared distance, as FID is given; covariances divide by n − 1, as pytorch-fid's do.
///
/// # Errors
///
/// Sets of other sizes of features, or with fewer than two rows.
pub fn frechet(a: &Moments, b: &Moments) -> Result<f64> {
    let (s, t) = (a.covariance()?, b.covariance()?);
    between(&a.mean()?, &s, &b.mean()?, &t)
}

/// The same with covariances that divide by n, as the stylegan2-ada family's do.
///
/// # Errors
///
/// As [`frechet`].
pub fn frechet_biased(a: &Moments, b: &Moments) -> Result<f64> {
    let (s, t) = (a.biased_covariance()?, b.biased_covariance()?);
    between(&a.mean()?, &s, &b.mean()?, &t)
}

fn between(m: &[f64], s: &Mat<f64>, n: &[f64], t: &Mat<f64>) -> Result<f64> {
    if m.len() != n.len() {
        return Err(Error::unfit(
            "size of the second set's features",
            n.len(),
            m.len(),
        ));
    }
    let root = root(s)?;
    let inner = symmetric(&(&root * t * &root));
    Ok(squared(m, n) + trace(s) + trace(t) - 2.0 * sum_of_roots(&inner)?)
}

fn squared(m: &[f64], n: &[f64]) -> f64 {
    m.iter().zip(n).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// `tr A^½`.
fn sum_of_roots(a: &Mat<f64>) -> Result<f64> {
    let values = a
        .self_adjoint_eigenvalues(Side::Lower)
        .map_err(|_| Error::Eigen)?;
    let least = least(values.iter().copied());
    let roots = values.iter().filter(|x| **x > least);
    Ok(roots.map(|x| x.sqrt()).sum())
}

/// Eigenvalues up to this are zeros but for rounding, whose roots would add up: of 1e-16 each root is 1e-8.
fn least(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    n * f64::EPSILON * values.fold(0.0, f64::max)
}

/// The root of a positive semi-definite matrix.
fn root(s: &Mat<f64>) -> Result<Mat<f64>> {
    let eigen = symmetric(s)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::Eigen)?;
    let (u, values) = (eigen.U(), eigen.S().column_vector());
    let values: Vec<f64> = values.iter().copied().collect();
    let least = least(values.iter().copied());
    let root = |x: f64| if x > least { x.sqrt() } else { 0.0 };
    let scaled = Mat::from_fn(s.nrows(), s.ncols(), |i, j| u[(i, j)] * root(values[j]));
    Ok(&scaled * u.transpose())
}

fn symmetric(s: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(s.nrows(), s.ncols(), |i, j| 0.5 * (s[(i, j)] + s[(j, i)]))
}

fn trace(s: &Mat<f64>) -> f64 {
    (0..s.nrows()).map(|i| s[(i, i)]).sum()
}

/// A Fréchet distance extrapolated to infinitely many samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extrapolation {
    /// Where the line meets 1/n = 0.
    pub infinity: f64,
    /// What was measured: numbers of samples, and the distance of that many.
    pub points: Vec<(usize, f64)>,
}

/// Points of the line, as published.
pub const POINTS: usize = 15;

/// Samples that an extrapolation needs at least.
pub const FEWEST: usize = 20;

/// The distance of `samples: [n, d]` to `real`, at [`POINTS`] numbers of samples and extrapolated. Each number is of
/// other samples, drawn at random. The smallest is a tenth of n, as published, but at least d where n is 2d or more:
/// below d the distance does not follow the line. `real` has all its pictures throughout.
///
/// # Errors
///
/// Fewer than [`FEWEST`] samples, sizes that differ, or a number that is not finite.
pub fn frechet_infinity(
    samples: &Tensor,
    real: &Moments,
    stream: &mut Stream,
) -> Result<Extrapolation> {
    let x = features::rows(samples)?;
    let (n, d) = x.dims2()?;
    if n < FEWEST {
        let expected = format!("at least {FEWEST} to extrapolate from");
        return Err(Error::unfit("samples", n, expected));
    }
    if d != real.dim() {
        return Err(Error::unfit("size of the samples' features", d, real.dim()));
    }
    let (mean, covariance) = (real.mean()?, real.covariance()?);
    let root = root(&covariance)?;
    let values = (0..d * d).map(|at| root[(at / d, at % d)]);
    let root = Tensor::from_iter(values, &Device::Cpu)?.reshape((d, d))?;
    // S₁^½ S₂ S₁^½ is the covariance of x S₁^½.
    let y = x.matmul(&root)?;
    let mut points = Vec::new();
    for size in sizes(n, d) {
        let chosen: Vec<u32> = stream
            .permutation(n)
            .into_iter()
            .take(size)
            .map(|i| i as u32)
            .collect();
        let chosen = Tensor::new(chosen, &Device::Cpu)?;
        let (x, y) = (x.index_select(&chosen, 0)?, y.index_select(&chosen, 0)?);
        let own: Vec<f64> = x.mean(0)?.to_vec1()?;
        let spread = centred(&x)?.sqr()?.sum_all()?.to_scalar::<f64>()? / (size - 1) as f64;
        let common = sum_of_roots(&inner(&centred(&y)?)?)?;
        let distance = squared(&own, &mean) + spread + trace(&covariance) - 2.0 * common;
        points.push((size, distance));
    }
    Ok(Extrapolation {
        infinity: intercept(&points),
        points,
    })
}

/// Numbers of samples, evenly from the smallest to `n`.
fn sizes(n: usize, d: usize) -> Vec<usize> {
    let least = (n / 10).max(d.min(n / 2)).max(2);
    let steps = POINTS - 1;
    let mut sizes: Vec<usize> = (0..=steps)
        .map(|i| least + (n - least) * i / steps)
        .collect();
    sizes.dedup();
    sizes
}

fn centred(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_sub(&x.mean_keepdim(0)?)?)
}

/// The covariance of centred rows, or the matrix of their inner products where that is smaller: both have the same
/// eigenvalues but for zeros.
fn inner(y: &Tensor) -> Result<Mat<f64>> {
    let (n, d) = y.dims2()?;
    let product = match n < d {
        true => y.matmul(&y.t()?)?,
        false => y.t()?.matmul(y)?,
    };
    let rows = (product / (n - 1) as f64)?.to_vec2::<f64>()?;
    let side = rows.len();
    Ok(symmetric(&Mat::from_fn(side, side, |i, j| rows[i][j])))
}

/// At 1/n = 0, of the least squares' line over 1/n.
fn intercept(points: &[(usize, f64)]) -> f64 {
    let count = points.len() as f64;
    let x = |n: usize| 1.0 / n as f64;
    let mx = points.iter().map(|&(n, _)| x(n)).sum::<f64>() / count;
    let my = points.iter().map(|&(_, d)| d).sum::<f64>() / count;
    let (mut xy, mut xx) = (0.0, 0.0);
    for &(n, d) in points {
        xy += (x(n) - mx) * (d - my);
        xx += (x(n) - mx) * (x(n) - mx);
    }
    match xx > 0.0 {
        true => my - mx * xy / xx,
        false => my,
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;
    use domex_random::Streams;

    use super::*;

    fn normal(stream: &mut Stream, n: usize, d: usize) -> Tensor {
        let values: Vec<f64> = (0..n * d).map(|_| stream.normal_f64()).collect();
        Tensor::from_vec(values, (n, d), &Device::Cpu).unwrap()
    }

    fn moments(x: &Tensor) -> Moments {
        let mut moments = Moments::new(x.dim(1).unwrap());
        moments.add(x).unwrap();
        moments
    }

    #[test]
    fn the_last_point_has_all_samples() {
        let mut stream = Streams::new(1).stream("features");
        for (n, d) in [(60, 5), (30, 50)] {
            let (samples, real) = (normal(&mut stream, n, d), normal(&mut stream, 2 * n, d));
            let real = moments(&real);
            let found = frechet_infinity(&samples, &real, &mut stream).unwrap();
            let (count, distance) = found.points[found.points.len() - 1];
            assert_eq!(count, n);
            let whole = frechet(&moments(&samples), &real).unwrap();
            assert!(
                (distance - whole).abs() < 1e-8 * whole,
                "{distance} {whole}"
            );
        }
    }

    #[test]
    fn sets_of_one_kind_are_nearer_when_extrapolated() {
        let mut stream = Streams::new(2).stream("features");
        let real = moments(&normal(&mut stream, 20_000, 4));
        let (mut finite, mut infinite) = (0.0, 0.0);
        for _ in 0..16 {
            let samples = normal(&mut stream, 200, 4);
            let found = frechet_infinity(&samples, &real, &mut stream).unwrap();
            finite += found.points[found.points.len() - 1].1 / 16.0;
            infinite += found.infinity / 16.0;
        }
        assert!(finite > 0.02, "{finite}");
        assert!(infinite.abs() < 0.3 * finite, "{infinite} {finite}");
    }

    #[test]
    fn a_line_is_met_where_it_should_be() {
        let points: Vec<(usize, f64)> = [10, 20, 40]
            .iter()
            .map(|&n| (n, 3.0 + 5.0 / n as f64))
            .collect();
        assert!((intercept(&points) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn numbers_of_samples_are_spread_from_the_smallest_to_all() {
        assert_eq!(sizes(50_000, 2048)[0], 5000);
        assert_eq!(sizes(10_000, 2048)[0], 2048);
        assert_eq!(sizes(1000, 2048)[0], 500);
        for (n, d) in [(50_000, 2048), (20, 3), (1000, 2048)] {
            let sizes = sizes(n, d);
            assert_eq!(sizes.last(), Some(&n));
            assert!(sizes.windows(2).all(|w| w[0] < w[1]) && sizes.len() > 2);
        }
    }

    #[test]
    fn too_few_samples_are_refused() {
        let mut stream = Streams::new(3).stream("features");
        let real = moments(&normal(&mut stream, 50, 3));
        let few = normal(&mut stream, FEWEST - 1, 3);
        let error = frechet_infinity(&few, &real, &mut stream).unwrap_err();
        assert!(error.to_string().contains("at least 20"), "{error}");
        let wide = Tensor::zeros((FEWEST, 4), DType::F64, &Device::Cpu).unwrap();
        assert!(frechet_infinity(&wide, &real, &mut stream).is_err());
    }
}

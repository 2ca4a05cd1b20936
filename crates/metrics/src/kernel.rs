//! Kernel distances of two sets: the squared maximum mean discrepancy under a cubic kernel (Bińkowski et al. 2018, arXiv
//! 1801.01401; KID) and under a Gaussian one (Jayasumana et al. 2024, arXiv 2401.09603; CMMD, on CLIP's features).
//!
//! With the cubic kernel `k(x, y) = (x·y / d + 1)³`, without bias:
//!
//! ```text
//! mean over i ≠ j of k(aᵢ, aⱼ) + mean over i ≠ j of k(bᵢ, bⱼ) − 2 · mean over i, j of k(aᵢ, bⱼ)
//! ```
//!
//! KID is the mean of that over subsets. Where the sets are pairs, aᵢ and bᵢ of one latent, they are not independent, and i = j is left
//! out of the last mean too (Gretton et al. 2012, JMLR 13, lemma 6): pairs that resemble each other would make it less than 0. With the Gaussian kernel `exp(−|x − y|² / 2σ²)` all pairs count, i = j too, as
//! published: never negative, and too large by about (2 − 2k̄)/n.

use candle_core::Tensor;
use domex_random::Stream;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    features::{pair, products},
};

/// The distance of the rows of `a: [n, d]` and `b: [m, d]`, all of them. It is about 0, on either side, for sets of one kind.
///
/// # Errors
///
/// Sets of other sizes of features, with fewer than two rows, or with a number that is not finite.
pub fn kernel_distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = pair(a, b)?;
    unbiased(&a, &b)
}

/// The same where row i of `a: [n, d]` and row i of `b: [n, d]` belong together, such as two pictures of one latent.
///
/// # Errors
///
/// As [`kernel_distance`], or sets of other numbers of rows.
pub fn kernel_distance_of_pairs(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = pair(a, b)?;
    rows(&a, &b)?;
    let (n, m) = (a.dim(0)?, b.dim(0)?);
    if n != m {
        return Err(Error::unfit("rows of the second set", m, n));
    }
    Ok(others(&a, &a)? + others(&b, &b)? - 2.0 * others(&a, &b)?)
}

fn unbiased(a: &Tensor, b: &Tensor) -> Result<f64> {
    rows(a, b)?;
    let between = cubic_sum(a, b)? / (a.dim(0)? as f64 * b.dim(0)? as f64);
    Ok(others(a, a)? + others(b, b)? - 2.0 * between)
}

/// The rows of the smaller set.
fn rows(a: &Tensor, b: &Tensor) -> Result<usize> {
    match a.dim(0)?.min(b.dim(0)?) {
        n @ 0..2 => Err(Error::unfit("rows of a set", n, "at least 2")),
        n => Ok(n),
    }
}

/// The mean of the kernel over i ≠ j.
fn others(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (n, d) = a.dims2()?;
    let own = cubic(&(a * b)?.sum(1)?, d)?.sum_all()?;
    let off = cubic_sum(a, b)? - own.to_scalar::<f64>()?;
    Ok(off / (n as f64 * (n - 1) as f64))
}

/// The sum of the kernel over all pairs of rows.
fn cubic_sum(a: &Tensor, b: &Tensor) -> Result<f64> {
    let d = a.dim(1)?;
    let mut sum = 0.0;
    for block in products(a, b) {
        sum += cubic(&block?.1, d)?.sum_all()?.to_scalar::<f64>()?;
    }
    Ok(sum)
}

/// `(x / d + 1)³` of each inner product.
fn cubic(products: &Tensor, d: usize) -> Result<Tensor> {
    let base = products.affine(1.0 / d as f64, 1.0)?;
    Ok((base.sqr()? * &base)?)
}

/// A kernel distance by subsets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelDistance {
    /// The mean over the subsets.
    pub mean: f64,
    /// The subsets' standard deviation (divided by their number, as torch-fidelity's), which is more than the mean's error.
    pub std: f64,
    /// Pictures of each set in a subset.
    pub subset: usize,
    /// The subsets' distances.
    pub values: Vec<f64>,
}

impl KernelDistance {
    /// Subsets, as published programs take them.
    pub const SUBSETS: usize = 100;

    /// Pictures of a subset, as published programs take them.
    pub const SUBSET: usize = 1000;

    /// Over given subsets: for each, which rows of `a` and which of `b`.
    ///
    /// # Errors
    ///
    /// As [`kernel_distance`]; no subset, or a row that is not there.
    pub fn of_subsets(a: &Tensor, b: &Tensor, subsets: &[(Vec<u32>, Vec<u32>)]) -> Result<Self> {
        let (a, b) = pair(a, b)?;
        let take = |x: &Tensor, rows: &[u32]| -> Result<Tensor> {
            let n = x.dim(0)?;
            if let Some(&row) = rows.iter().find(|&&row| row as usize >= n) {
                return Err(Error::unfit("row of a subset", row, format!("below {n}")));
            }
            Ok(x.index_select(&Tensor::new(rows, x.device())?, 0)?)
        };
        let distance = |(p, q): &(Vec<u32>, Vec<u32>)| unbiased(&take(&a, p)?, &take(&b, q)?);
        let values = subsets.iter().map(distance).collect::<Result<Vec<f64>>>()?;
        if values.is_empty() {
            return Err(Error::unfit("subsets", 0, "at least 1"));
        }
        let (mean, std) = mean_and_std(&values);
        Ok(Self {
            mean,
            std,
            subset: subsets[0].0.len(),
            values,
        })
    }

    /// Over `count` subsets of `size` rows of each set, drawn at random without repeats; of half the rows of the smaller set where
    /// it has no more than `size`, for subsets that are the whole set would not tell how far they are apart.
    ///
    /// # Errors
    ///
    /// As [`kernel_distance`]; no subset.
    pub fn random(
        a: &Tensor,
        b: &Tensor,
        count: usize,
        size: usize,
        stream: &mut Stream,
    ) -> Result<Self> {
        let (n, m) = (a.dim(0)?, b.dim(0)?);
        let smaller = n.min(m);
        let size = match smaller > size {
            true => size,
            false => (smaller / 2).max(2),
        };
        let mut draw = |n: usize| -> Vec<u32> {
            let all = stream.permutation(n).into_iter();
            all.take(size).map(|row| row as u32).collect()
        };
        let subsets: Vec<_> = (0..count).map(|_| (draw(n), draw(m))).collect();
        Self::of_subsets(a, b, &subsets)
    }
}

/// Mean, and the root of the mean squared deviation.
pub(crate) fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// The Gaussian kernel of CLIP-MMD, and by how much its result is multiplied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gaussian {
    /// Its width σ.
    pub sigma: f64,
    /// By how much the distance is multiplied, so that it is of a size to read.
    pub scale: f64,
}

impl Default for Gaussian {
    /// As published, for CLIP's features at length 1 ([`unit_rows`](crate::unit_rows)).
    fn default() -> Self {
        Self {
            sigma: 10.0,
            scale: 1000.0,
        }
    }
}

/// CLIP-MMD of the rows of `a: [n, d]` and `b: [m, d]`.
///
/// # Errors
///
/// Sets of other sizes of features, a number that is not finite, or a σ that is not above 0.
pub fn cmmd(a: &Tensor, b: &Tensor, kernel: Gaussian) -> Result<f64> {
    if kernel.sigma.is_nan() || kernel.sigma <= 0.0 {
        return Err(Error::unfit("sigma", kernel.sigma, "more than 0"));
    }
    let (a, b) = pair(a, b)?;
    let mean = |x: &Tensor, y: &Tensor| -> Result<f64> {
        let (own, other) = (x.sqr()?.sum_keepdim(1)?, y.sqr()?.sum(1)?.unsqueeze(0)?);
        let mut sum = 0.0;
        for block in products(x, y) {
            let (start, products) = block?;
            let own = own.narrow(0, start, products.dim(0)?)?;
            let distances = (own.broadcast_add(&other)? - (products * 2.0)?)?;
            let kernel = (distances / (-2.0 * kernel.sigma * kernel.sigma))?.exp()?;
            sum += kernel.sum_all()?.to_scalar::<f64>()?;
        }
        Ok(sum / (x.dim(0)? as f64 * y.dim(0)? as f64))
    };
    Ok(kernel.scale * (mean(&a, &a)? + mean(&b, &b)? - 2.0 * mean(&a, &b)?))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use domex_random::Streams;

    use super::*;

    fn rows(values: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(values.as_flattened(), (values.len(), 2), &Device::Cpu).unwrap()
    }

    fn set(from: usize, shift: f32) -> Tensor {
        let value = |i: usize| ((i as f32 * 12.9898).sin() * 43758.547).fract() + shift;
        let values: Vec<f32> = (from..from + 1200).map(value).collect();
        Tensor::from_vec(values, (600, 2), &Device::Cpu).unwrap()
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
        let near = kernel_distance(&set(0, 0.0), &set(5000, 0.0)).unwrap();
        let far = kernel_distance(&set(0, 0.0), &set(5000, 0.5)).unwrap();
        assert!(near.abs() < 0.02 && far > 0.2, "{near} {far}");
        let near = cmmd(&set(0, 0.0), &set(5000, 0.0), Gaussian::default()).unwrap();
        let far = cmmd(&set(0, 0.0), &set(5000, 0.5), Gaussian::default()).unwrap();
        assert!((0.0..0.1).contains(&near) && far > 1.0, "{near} {far}");
    }

    #[test]
    fn pairs_are_no_nearer_than_strangers() {
        // 200 pairs of one kind, each nearly the same twice: no distance, but the same rows against each other say less than none.
        let mean = |distance: fn(&Tensor, &Tensor) -> Result<f64>| {
            let of = |seed: u64| {
                let mut stream = Streams::new(seed).stream("pairs");
                let values: Vec<f64> = (0..400).map(|_| stream.normal_f64()).collect();
                let a = Tensor::from_vec(values, (200, 2), &Device::Cpu).unwrap();
                distance(&a, &(&a * 1.0001).unwrap()).unwrap()
            };
            (0..20).map(of).sum::<f64>() / 20.0
        };
        let (pairs, strangers) = (mean(kernel_distance_of_pairs), mean(kernel_distance));
        assert!(
            pairs.abs() < 1e-3 && strangers < -0.01,
            "{pairs} {strangers}"
        );
    }

    #[test]
    fn subsets_are_smaller_than_the_sets() {
        let (a, b) = (set(0, 0.0), set(5000, 0.2));
        let mut stream = Streams::new(1).stream("subsets");
        let found = KernelDistance::random(&a, &b, 20, 1000, &mut stream).unwrap();
        let whole = kernel_distance(&a, &b).unwrap();
        assert_eq!((found.subset, found.values.len()), (300, 20));
        assert!(found.std > 1e-3 && (found.mean - whole).abs() < found.std);
        let smaller = KernelDistance::random(&a, &b, 20, 50, &mut stream).unwrap();
        assert!(smaller.std > 1e-3 && (smaller.mean - whole).abs() < smaller.std);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let two = rows(&[[0.0, 0.0], [1.0, 0.0]]);
        assert!(kernel_distance(&two, &rows(&[[1.0, 1.0]])).is_err());
        let error = kernel_distance_of_pairs(&two, &set(0, 0.0)).unwrap_err();
        assert!(error.to_string().contains("600"), "{error}");
        let three = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        assert!(kernel_distance(&two, &three).is_err());
        assert!(cmmd(&two, &three, Gaussian::default()).is_err());
        let none = KernelDistance::of_subsets(&two, &two, &[]).unwrap_err();
        assert!(none.to_string().contains("subsets"), "{none}");
        let outside = KernelDistance::of_subsets(&two, &two, &[(vec![0, 2], vec![0, 1])]);
        assert!(outside.unwrap_err().to_string().contains("below 2"));
        let bad = rows(&[[0.0, 0.0], [1.0, f32::NAN]]);
        let error = kernel_distance(&two, &bad).unwrap_err().to_string();
        assert!(error.contains("NaN in row 1, column 1"), "{error}");
    }
}

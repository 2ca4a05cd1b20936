//! Inception score (Salimans et al. 2016, arXiv 1606.03498), from class probabilities.
//!
//! `exp(mean over pictures of KL(p(y | picture) ‖ p(y)))`: large where each picture is clearly of one class and all classes occur.
//! It compares with no real pictures. As published it is taken of several parts of the pictures, in their order.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, features::rows, kernel::mean_and_std};

/// Parts, as published.
pub const SPLITS: usize = 10;

/// How far a row's sum may be from 1: what float32 makes of 1008 classes and more.
const SUM: f64 = 1e-3;

/// The score of each part, their mean and their standard deviation (divided by their number).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InceptionScore {
    /// The mean over the parts.
    pub mean: f64,
    /// The parts' standard deviation.
    pub std: f64,
    /// The parts' scores.
    pub splits: Vec<f64>,
}

/// The score of `probabilities: [n, classes]` in `splits` parts, rows `i·n/splits .. (i + 1)·n/splits`.
///
/// # Errors
///
/// Fewer rows than parts, no part, or rows that are no probabilities.
pub fn inception_score(probabilities: &Tensor, splits: usize) -> Result<InceptionScore> {
    let p = rows(probabilities)?;
    let n = p.dim(0)?;
    if splits == 0 || n < splits {
        let expected = format!("at least 1, and at most the {n} pictures");
        return Err(Error::unfit(
            "parts of the Inception score",
            splits,
            expected,
        ));
    }
    let least = p.min_all()?.to_scalar::<f64>()?;
    let off = (p.sum(D::Minus1)? - 1.0)?
        .abs()?
        .max(0)?
        .to_scalar::<f64>()?;
    if least < 0.0 || off > SUM {
        let found = format!("a least entry of {least}, a row's sum {off} off 1");
        return Err(Error::unfit(
            "class probabilities",
            found,
            "rows from 0 up that sum to 1",
        ));
    }
    let score = |i: usize| -> Result<f64> {
        let (start, end) = (i * n / splits, (i + 1) * n / splits);
        let part = p.narrow(0, start, end - start)?;
        let mean: Vec<f64> = part.mean(0)?.to_vec1()?;
        let mut sum = 0.0;
        for row in part.to_vec2::<f64>()? {
            // 0 ln 0 = 0.
            let terms = row.iter().zip(&mean).filter(|(p, _)| **p > 0.0);
            sum += terms.map(|(p, q)| p * (p.ln() - q.ln())).sum::<f64>();
        }
        Ok((sum / (end - start) as f64).exp())
    };
    let splits = (0..splits).map(score).collect::<Result<Vec<f64>>>()?;
    let (mean, std) = mean_and_std(&splits);
    Ok(InceptionScore { mean, std, splits })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn rows_of(values: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(values.as_flattened(), (values.len(), 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn sure_and_varied_pictures_score_the_number_of_classes() {
        let sure = rows_of(&[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
        let found = inception_score(&sure, 2).unwrap();
        assert!((found.mean - 2.0).abs() < 1e-12 && found.std < 1e-12);
        let alike = rows_of(&[[0.3, 0.7], [0.3, 0.7]]);
        let found = inception_score(&alike, 1).unwrap();
        assert!((found.mean - 1.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn parts_take_in_every_picture() {
        let five = rows_of(&[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
        let found = inception_score(&five, 2).unwrap();
        // Two of one class, and three of which one is of it: the entropy of (1/3, 2/3).
        let entropy = -(1f64 / 3.0 * (1f64 / 3.0).ln() + 2.0 / 3.0 * (2f64 / 3.0).ln());
        assert!((found.splits[0] - 1.0).abs() < 1e-12, "{found:?}");
        assert!((found.splits[1] - entropy.exp()).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let two = rows_of(&[[0.5, 0.5], [0.5, 0.5]]);
        assert!(inception_score(&two, 3).is_err() && inception_score(&two, 0).is_err());
        for bad in [[0.5, 0.6], [-0.5, 1.5]] {
            let error = inception_score(&rows_of(&[bad]), 1)
                .unwrap_err()
                .to_string();
            assert!(error.contains("sum to 1"), "{error}");
        }
    }
}

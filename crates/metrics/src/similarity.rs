//! Scores by angles between features, row by row: of pictures and texts (CLIP), of edits and text directions, of the faces of
//! one person.
//!
//! All take given features: which encoder made them is the caller's to say.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    features::{pair, rows, unit_rows},
};

/// The cosine of each row of `a: [n, d]` with the same row of `b: [n, d]`, or with the one row of `b: [1, d]`.
///
/// # Errors
///
/// Shapes that do not fit, a row of zeros, which has no direction, or a number that is not finite.
pub fn cosines(a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    let (a, b) = pair(a, b)?;
    angles(&directions(&a)?, &directions(&b)?)
}

/// Of rows of length 1.
fn angles(a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    let (n, m) = (a.dim(0)?, b.dim(0)?);
    if m != n && m != 1 {
        return Err(Error::unfit(
            "rows of the second set",
            m,
            format!("{n} or 1"),
        ));
    }
    Ok(a.broadcast_mul(b)?.sum(1)?.to_vec1()?)
}

fn directions(x: &Tensor) -> Result<Tensor> {
    let lengths: Vec<f64> = x.sqr()?.sum(1)?.to_vec1()?;
    if let Some(row) = lengths.iter().position(|&length| length == 0.0) {
        return Err(Error::unfit(
            "features",
            format!("row {row} is all zeros"),
            "rows that have a direction",
        ));
    }
    unit_rows(x)
}

/// How well pictures fit texts, in the forms in which it is published.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClipScore {
    /// 100 times the mean cosine.
    pub mean: f64,
    /// The same, at least 0.
    pub clamped_mean: f64,
    /// 100 times the mean of the cosines, each at least 0.
    pub clamped_each: f64,
    /// CLIP-S: 2.5 times the mean of the cosines, each at least 0 (Hessel et al. 2021, arXiv 2104.08718).
    pub clip_s: f64,
}

impl ClipScore {
    /// Of the [`cosines`] of pictures and texts.
    ///
    /// # Errors
    ///
    /// No cosine.
    pub fn new(cosines: &[f64]) -> Result<Self> {
        if cosines.is_empty() {
            return Err(Error::unfit("pictures with texts", "none", "at least one"));
        }
        let n = cosines.len() as f64;
        let mean = 100.0 * cosines.iter().sum::<f64>() / n;
        let positive = cosines.iter().map(|x| x.max(0.0)).sum::<f64>() / n;
        Ok(Self {
            mean,
            clamped_mean: mean.max(0.0),
            clamped_each: 100.0 * positive,
            clip_s: 2.5 * positive,
        })
    }
}

/// The cosine of each edit's direction with the texts': `edited − source` of pictures `[n, d]`, each at length 1, and of texts
/// `[1, d]` or `[n, d]`, which are taken as they are: means over sentences are shorter (Gal et al. 2021, arXiv 2108.00946). An edit
/// that changes nothing scores 0.
///
/// # Errors
///
/// Shapes that do not fit, a picture's row of zeros, or texts that are the same.
pub fn directional_scores(
    source: &Tensor,
    edited: &Tensor,
    source_text: &Tensor,
    target_text: &Tensor,
) -> Result<Vec<f64>> {
    let difference = |from: &Tensor, to: &Tensor| -> Result<Tensor> {
        let (from, to) = pair(from, to)?;
        if from.dims() != to.dims() {
            let found = format!("{:?}", to.dims());
            return Err(Error::unfit(
                "edited features",
                found,
                format!("{:?}", from.dims()),
            ));
        }
        Ok((to - from)?)
    };
    let unit = |x: &Tensor| directions(&rows(x)?);
    angles(
        &unit_rows(&difference(&unit(source)?, &unit(edited)?)?)?,
        &directions(&difference(source_text, target_text)?)?,
    )
}

/// The mean of `1 − cosine` over all pairs of rows of `features: [n, d]`: 0 where all pictures are one.
///
/// # Errors
///
/// Fewer than two rows, a row of zeros, or a number that is not finite.
pub fn pairwise_diversity(features: &Tensor) -> Result<f64> {
    let x = directions(&rows(features)?)?;
    let n = x.dim(0)? as f64;
    if n < 2.0 {
        return Err(Error::unfit("rows of a set", n, "at least 2"));
    }
    // Σ over i ≠ j of xᵢ·xⱼ = |Σ xᵢ|² − Σ |xᵢ|².
    let sum = x.sum(0)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
    let own = x.sqr()?.sum_all()?.to_scalar::<f64>()?;
    Ok(1.0 - (sum - own) / (n * (n - 1.0)))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn rows(values: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(values.as_flattened(), (values.len(), 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn angles_by_hand() {
        let a = rows(&[[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]);
        let b = rows(&[[1.0, 0.0]]);
        assert_eq!(cosines(&a, &b).unwrap(), [1.0, 0.0, -1.0]);
        // Pairs: 1, 1 and 2.
        assert!((pairwise_diversity(&a).unwrap() - 4.0 / 3.0).abs() < 1e-12);
        let score = ClipScore::new(&[0.5, -0.1]).unwrap();
        assert!((score.mean - 20.0).abs() < 1e-12 && (score.clamped_each - 25.0).abs() < 1e-12);
        assert!((score.clip_s - 0.625).abs() < 1e-12);
        assert_eq!(ClipScore::new(&[-0.5]).unwrap().clamped_mean, 0.0);
    }

    #[test]
    fn an_edit_along_the_texts_scores_one() {
        // From (0, 1) to (1, 0), and one that grows longer only.
        let (from, to) = (
            rows(&[[0.0, 2.0], [0.0, 2.0]]),
            rows(&[[3.0, 0.0], [0.0, 9.0]]),
        );
        let (source, target) = (rows(&[[0.0, 5.0]]), rows(&[[5.0, 0.0]]));
        let found = directional_scores(&from, &to, &source, &target).unwrap();
        assert!(
            (found[0] - 1.0).abs() < 1e-12 && found[1] == 0.0,
            "{found:?}"
        );
        let still = directional_scores(&from, &from, &source, &target).unwrap();
        assert_eq!(still, [0.0, 0.0]);
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        let a = rows(&[[1.0, 0.0], [0.0, 0.0]]);
        let error = cosines(&a, &a).unwrap_err().to_string();
        assert!(error.contains("row 1 is all zeros"), "{error}");
        assert!(cosines(&a, &rows(&[[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])).is_err());
        assert!(directional_scores(&a, &a, &a, &a).is_err());
        assert!(pairwise_diversity(&rows(&[[1.0, 0.0]])).is_err());
        assert!(ClipScore::new(&[]).is_err());
    }
}

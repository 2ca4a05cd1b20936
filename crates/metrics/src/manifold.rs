//! Where a set of features lies, by neighbourhoods: improved precision and recall (Kynkäänniemi et al. 2019, arXiv
//! 1904.06991), density and coverage (Naeem et al. 2020, arXiv 2002.09797).
//!
//! Around each point of a set is a ball as large as the distance to the point's k-th nearest neighbour in the set.
//!
//! - *Precision* is the share of samples that lie in a ball of the real set: are they like real ones? *Recall* is
//!   the share of real points that lie in a ball of the samples: is every kind of them made?
//! - *Density* is the number of real balls that a sample lies in, over k: above 1 where samples crowd the densest
//!   places. One far-off real point no longer makes a large ball count in full. *Coverage* is the share of real balls with a sample in them.

use candle_core::Tensor;
use half::f16;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    features::{pair, products, rows},
};

/// The neighbour that a ball reaches, as published for precision and recall.
pub const NEIGHBOUR: usize = 3;

/// The neighbour that a ball reaches, as published for density and coverage.
pub const COVERAGE_NEIGHBOUR: usize = 5;

/// In which numbers features and distances are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rounding {
    /// float64.
    #[default]
    None,
    /// Both rounded to half precision, as the stylegan2-ada family does to save memory: for comparison with its figures.
    Half,
}

impl Rounding {
    fn features(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::None => x.clone(),
            Self::Half => x
                .to_dtype(candle_core::DType::F32)?
                .to_dtype(candle_core::DType::F16)?
                .to_dtype(candle_core::DType::F64)?,
        })
    }

    fn distance(self, x: f64) -> f64 {
        match self {
            Self::None => x,
            Self::Half => f16::from_f32(x as f32).to_f64(),
        }
    }
}

/// A set of features with the balls around its points.
#[derive(Debug, Clone)]
pub struct Manifold {
    rows: Tensor,
    squares: Tensor, // [n]: squared lengths
    radii: Vec<f64>,
    rounding: Rounding,
}

impl Manifold {
    /// Of `features: [n, d]`, with balls up to the `neighbour`-th nearest other point.
    ///
    /// # Errors
    ///
    /// No more rows than `neighbour`, a `neighbour` of 0, or a number that is not finite.
    pub fn new(features: &Tensor, neighbour: usize, rounding: Rounding) -> Result<Self> {
        let features = rounding.features(&rows(features)?)?;
        let n = features.dim(0)?;
        if neighbour == 0 {
            return Err(Error::unfit("neighbour", 0, "at least 1"));
        }
        if n <= neighbour {
            let expected = format!("at least {}", neighbour + 1);
            return Err(Error::unfit("rows of a set", n, expected));
        }
        let mut manifold = Self {
            squares: features.sqr()?.sum(1)?,
            rows: features,
            radii: Vec::with_capacity(n),
            rounding,
        };
        let mut radii = Vec::with_capacity(n);
        manifold.distances(&manifold.rows, &manifold.squares, |distances| {
            // The nearest of all is the point itself.
            let mut distances = distances.to_vec();
            radii.push(
                *distances
                    .select_nth_unstable_by(neighbour, f64::total_cmp)
                    .1,
            );
        })?;
        manifold.radii = radii;
        Ok(manifold)
    }

    /// How far each point's ball reaches.
    #[must_use]
    pub fn radii(&self) -> &[f64] {
        &self.radii
    }

    /// For each row of `features: [m, d]`, whether it lies in one of the balls, their edge included.
    ///
    /// # Errors
    ///
    /// Features of another size, or a number that is not finite.
    pub fn contains(&self, features: &Tensor) -> Result<Vec<bool>> {
        let mut inside = Vec::new();
        self.each(features, |distances| {
            let mut both = distances.iter().zip(&self.radii);
            inside.push(both.any(|(distance, radius)| distance <= radius));
        })?;
        Ok(inside)
    }

    /// Density and coverage of this set by `samples: [m, d]`; `neighbour` is the one that this set's balls were made with.
    fn covered(&self, samples: &Tensor, neighbour: usize) -> Result<(f64, Vec<bool>)> {
        let (mut balls, mut count) = (0usize, 0usize);
        let mut covered = vec![false; self.radii.len()];
        self.each(samples, |distances| {
            for (at, (distance, radius)) in distances.iter().zip(&self.radii).enumerate() {
                if distance < radius {
                    balls += 1;
                    covered[at] = true;
                }
            }
            count += 1;
        })?;
        Ok((balls as f64 / (neighbour * count) as f64, covered))
    }

    /// Calls `each` with the distances of a row of `features` to all of this set, row by row.
    fn each(&self, features: &Tensor, each: impl FnMut(&[f64])) -> Result<()> {
        let (_, features) = pair(&self.rows, features)?;
        let features = self.rounding.features(&features)?;
        let squares = features.sqr()?.sum(1)?;
        self.distances(&features, &squares, each)
    }

    fn distances(
        &self,
        features: &Tensor,
        squares: &Tensor,
        mut each: impl FnMut(&[f64]),
    ) -> Result<()> {
        let own = self.squares.unsqueeze(0)?;
        for block in products(features, &self.rows) {
            let (start, products) = block?;
            let theirs = squares.narrow(0, start, products.dim(0)?)?.unsqueeze(1)?;
            let squared = (theirs.broadcast_add(&own)? - (products * 2.0)?)?;
            for mut row in squared.to_vec2::<f64>()? {
                for x in &mut row {
                    // Rounding makes some of the zeros negative.
                    *x = self.rounding.distance(x.max(0.0).sqrt());
                }
                each(&row);
            }
        }
        Ok(())
    }
}

/// The share of those that are true.
fn share(hits: &[bool]) -> f64 {
    hits.iter().filter(|&&hit| hit).count() as f64 / hits.len().max(1) as f64
}

/// Improved precision and recall, with what they are shares of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecall {
    /// The share of samples that lie where real pictures do.
    pub precision: f64,
    /// The share of real pictures that lie where samples do.
    pub recall: f64,
    /// For each sample, whether it does.
    #[serde(skip)]
    pub precision_hits: Vec<bool>,
    /// For each real picture, whether it does.
    #[serde(skip)]
    pub recall_hits: Vec<bool>,
}

impl PrecisionRecall {
    /// Of `samples: [m, d]` for `real: [n, d]`, with balls up to the `neighbour`-th nearest.
    ///
    /// # Errors
    ///
    /// Sets of other sizes of features, with no more rows than `neighbour`, or with a number that is not finite.
    pub fn new(
        samples: &Tensor,
        real: &Tensor,
        neighbour: usize,
        rounding: Rounding,
    ) -> Result<Self> {
        pair(samples, real)?;
        let precision_hits = Manifold::new(real, neighbour, rounding)?.contains(samples)?;
        let recall_hits = Manifold::new(samples, neighbour, rounding)?.contains(real)?;
        Ok(Self {
            precision: share(&precision_hits),
            recall: share(&recall_hits),
            precision_hits,
            recall_hits,
        })
    }
}

/// Density (about 1 for sets of one kind, unbounded) and coverage (between 0 and 1) of `samples: [m, d]` for `real: [n, d]`, with
/// balls up to the `neighbour`-th nearest.
///
/// # Errors
///
/// Sets of other sizes of features, real ones with no more rows than `neighbour`, or a number that is not finite.
pub fn density_coverage(samples: &Tensor, real: &Tensor, neighbour: usize) -> Result<(f64, f64)> {
    let real = Manifold::new(real, neighbour, Rounding::None)?;
    let (density, covered) = real.covered(samples, neighbour)?;
    Ok((density, share(&covered)))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn line(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (values.len(), 1), &Device::Cpu).unwrap()
    }

    fn cube() -> Tensor {
        let value = |i: usize| ((i as f32 * 12.9898).sin() * 43758.547).fract();
        let set = Tensor::from_iter((0..1800).map(value), &Device::Cpu).unwrap();
        set.reshape((600, 3)).unwrap()
    }

    fn precision_recall(samples: &Tensor, real: &Tensor) -> Result<(f64, f64)> {
        let found = PrecisionRecall::new(samples, real, NEIGHBOUR, Rounding::None)?;
        Ok((found.precision, found.recall))
    }

    #[test]
    fn small_sets_by_hand() {
        // The balls' radii are 3, 2, 2, 3 and 9.
        let real = line(&[0.0, 1.0, 2.0, 3.0, 10.0]);
        // 36, 35, 34 and 36.
        let samples = line(&[4.0, 5.0, 6.0, 40.0]);
        let (precision, recall) = precision_recall(&samples, &real).unwrap();
        assert_eq!((precision, recall), (0.75, 1.0));
        let near = line(&[4.0, 4.1, 4.2, 4.3]);
        let (precision, recall) = precision_recall(&near, &real).unwrap();
        assert_eq!((precision, recall), (1.0, 0.0));
        // On the edge of a ball is in it, as published: 19 is at 9 from 10.
        let edge = line(&[19.0, 20.0, 21.0, 22.0]);
        assert_eq!(precision_recall(&edge, &real).unwrap().0, 0.25);
    }

    #[test]
    fn density_and_coverage_by_hand() {
        // With the second neighbour, the balls' radii are 2, 1, 1, 2 and 8.
        let real = line(&[0.0, 1.0, 2.0, 3.0, 10.0]);
        // 1.5 lies in the first four, 4 in those of 3 and 10, 40 in none.
        let samples = line(&[1.5, 4.0, 40.0]);
        let (density, coverage) = density_coverage(&samples, &real, 2).unwrap();
        assert_eq!((density, coverage), (6.0 / (2.0 * 3.0), 1.0));
        // On the edge of a ball is outside of it: 12 is in 10's alone, 18 in none.
        let (density, coverage) = density_coverage(&line(&[12.0, 18.0]), &real, 2).unwrap();
        assert_eq!((density, coverage), (1.0 / 4.0, 1.0 / 5.0));
    }

    #[test]
    fn a_set_covers_itself_and_nothing_far_away() {
        let set = cube();
        assert_eq!(precision_recall(&set, &set).unwrap(), (1.0, 1.0));
        let far = (&set + 10.0).unwrap();
        assert_eq!(precision_recall(&far, &set).unwrap(), (0.0, 0.0));
        assert_eq!(density_coverage(&far, &set, 5).unwrap(), (0.0, 0.0));
        // Samples of one half only are all real, and miss the other half.
        let half = set.narrow(1, 0, 1).unwrap().affine(0.5, 0.0).unwrap();
        let rest = set.narrow(1, 1, 2).unwrap();
        let half = Tensor::cat(&[&half, &rest], 1).unwrap();
        let (precision, recall) = precision_recall(&half, &set).unwrap();
        assert!(precision > 0.9 && recall < 0.8, "{precision} {recall}");
        let (density, coverage) = density_coverage(&half, &set, 5).unwrap();
        assert!(density > 0.9 && coverage < 0.8, "{density} {coverage}");
    }

    #[test]
    fn one_far_off_point_raises_precision_and_not_density() {
        let set = cube();
        let outlier = Tensor::full(30f32, (1, 3), &Device::Cpu).unwrap();
        let real = Tensor::cat(&[&set, &outlier], 0).unwrap();
        // Between the set and the point far off.
        let samples = (&set + 5.0).unwrap();
        let (precision, _) = precision_recall(&samples, &real).unwrap();
        let (density, _) = density_coverage(&samples, &real, 5).unwrap();
        assert!(precision > 0.9 && density < 0.3, "{precision} {density}");
    }

    #[test]
    fn half_precision_rounds_features_and_distances() {
        let fine = line(&[0.0, 1.0, 2.0, 4.0, 1000.1]);
        let manifold = Manifold::new(&fine, 1, Rounding::Half).unwrap();
        // 1000.1 becomes 1000, and 996 has a half.
        assert_eq!(manifold.radii(), [1.0, 1.0, 1.0, 2.0, 996.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let four = line(&[0.0, 1.0, 2.0, 3.0]);
        assert!(precision_recall(&four, &line(&[0.0, 1.0, 2.0])).is_err());
        let wide = Tensor::zeros((4, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(precision_recall(&four, &wide).is_err());
        assert!(density_coverage(&four, &wide, 2).is_err());
        assert!(density_coverage(&four, &four, 0).is_err());
        assert!(density_coverage(&four, &four, 4).is_err());
    }
}

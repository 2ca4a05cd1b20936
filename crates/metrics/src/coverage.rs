//! Precision and recall of one set for another (Kynkäänniemi et al. 2019, arXiv 1904.06991), on whatever features were
//! chosen.
//!
//! A set covers the union of balls around its points, each as large as the distance to the point's third nearest
//! neighbour in the set. Precision is the share of samples that the real set covers: are they like real ones? Recall is the
//! share of real points that the samples cover: is every kind of them made?

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The neighbour that a ball reaches, as published.
pub const NEIGHBOUR: usize = 3;

/// Rows at once.
const ROWS: usize = 256;

/// Precision and recall of `samples: [m, d]` for `real: [n, d]`, between 0 and 1.
///
/// # Errors
///
/// Sets of other sizes of features, or with fewer rows than [`NEIGHBOUR`] + 1.
pub fn precision_recall(samples: &Tensor, real: &Tensor) -> Result<(f64, f64)> {
    let ((m, d), (n, e)) = (samples.dims2()?, real.dims2()?);
    if d != e {
        return Err(Error::unfit("size of the second set's features", e, d));
    }
    if n.min(m) <= NEIGHBOUR {
        let expected = format!("at least {}", NEIGHBOUR + 1);
        return Err(Error::unfit("rows of a set", n.min(m), expected));
    }
    let (samples, real) = (Set::new(samples)?, Set::new(real)?);
    Ok((real.covers(&samples)?, samples.covers(&real)?))
}

struct Set {
    rows: Tensor,    // [n, d]
    squares: Tensor, // [n]: squared lengths
}

impl Set {
    fn new(rows: &Tensor) -> Result<Self> {
        let rows = rows.to_dtype(DType::F64)?;
        Ok(Self {
            squares: rows.sqr()?.sum(1)?,
            rows,
        })
    }

    /// Squared distances of some of these rows to all of another set's, block by block.
    fn distances(&self, other: &Self) -> impl Iterator<Item = Result<Vec<Vec<f64>>>> {
        let n = self.rows.dims()[0];
        (0..n).step_by(ROWS).map(move |start| {
            let len = ROWS.min(n - start);
            let products = self
                .rows
                .narrow(0, start, len)?
                .matmul(&other.rows.t()?.contiguous()?)?;
            let own = self.squares.narrow(0, start, len)?.unsqueeze(1)?;
            let sums = own.broadcast_add(&other.squares.unsqueeze(0)?)?;
            Ok((sums - (products * 2.0)?)?.to_vec2()?)
        })
    }

    /// Each row's squared distance to its neighbour; the nearest of all is the row itself.
    fn radii(&self) -> Result<Vec<f64>> {
        let mut radii = Vec::new();
        for block in self.distances(self) {
            for mut row in block? {
                radii.push(*row.select_nth_unstable_by(NEIGHBOUR, f64::total_cmp).1);
            }
        }
        Ok(radii)
    }

    /// The share of another set's rows that lie in one of the balls.
    fn covers(&self, other: &Self) -> Result<f64> {
        let radii = self.radii()?;
        let (mut inside, mut all) = (0usize, 0usize);
        for block in other.distances(self) {
            for row in block? {
                inside += usize::from(row.iter().zip(&radii).any(|(distance, r)| distance <= r));
                all += 1;
            }
        }
        Ok(inside as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn line(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (values.len(), 1), &Device::Cpu).unwrap()
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
    }

    #[test]
    fn a_set_covers_itself_and_nothing_far_away() {
        let value = |i: usize| ((i as f32 * 12.9898).sin() * 43758.547).fract();
        let set = Tensor::from_iter((0..1800).map(value), &Device::Cpu).unwrap();
        let set = set.reshape((600, 3)).unwrap();
        assert_eq!(precision_recall(&set, &set).unwrap(), (1.0, 1.0));
        let far = (&set + 10.0).unwrap();
        assert_eq!(precision_recall(&far, &set).unwrap(), (0.0, 0.0));
        // Samples of one half only are all real, and miss the other half.
        let half = set.narrow(1, 0, 1).unwrap().affine(0.5, 0.0).unwrap();
        let rest = set.narrow(1, 1, 2).unwrap();
        let half = Tensor::cat(&[&half, &rest], 1).unwrap();
        let (precision, recall) = precision_recall(&half, &set).unwrap();
        assert!(precision > 0.9 && recall < 0.8, "{precision} {recall}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let four = line(&[0.0, 1.0, 2.0, 3.0]);
        assert!(precision_recall(&four, &line(&[0.0, 1.0, 2.0])).is_err());
        let wide = Tensor::zeros((4, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(precision_recall(&four, &wide).is_err());
    }
}

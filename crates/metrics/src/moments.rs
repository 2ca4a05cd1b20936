//! Mean and covariance of features, gathered batch by batch.

use candle_core::Tensor;
use faer::Mat;

use crate::{Error, Result, features};

/// Sums over the rows seen so far, in float64.
///
/// Deviations are taken from the first row, not from zero: features that are far from zero and
/// near each other keep their digits.
#[derive(Debug, Clone)]
pub struct Moments {
    count: usize,
    origin: Option<Vec<f64>>,
    sum: Mat<f64>,
    outer: Mat<f64>,
}

impl Moments {
    /// Of features of size `dim`, none yet.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        Self {
            count: 0,
            origin: None,
            sum: Mat::zeros(1, dim),
            outer: Mat::zeros(dim, dim),
        }
    }

    /// Size of a feature.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.outer.ncols()
    }

    /// Rows seen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds `features: [n, dim]`.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a number that is not finite.
    pub fn add(&mut self, features: &Tensor) -> Result<()> {
        let dim = self.dim();
        match *features.dims() {
            [_, d] if d == dim => {}
            _ => {
                let found = format!("{:?}", features.dims());
                return Err(Error::unfit("features", found, format!("[n, {dim}]")));
            }
        }
        if features.dims()[0] == 0 {
            return Ok(());
        }
        let rows = features::rows(features)?.to_vec2::<f64>()?;
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let origin = self.origin.get_or_insert_with(|| first.clone());
        let x = Mat::from_fn(rows.len(), dim, |i, j| rows[i][j] - origin[j]);
        self.sum += Mat::<f64>::ones(1, rows.len()) * &x;
        self.outer += x.transpose() * &x;
        self.count += rows.len();
        Ok(())
    }

    /// The mean feature.
    ///
    /// # Errors
    ///
    /// No row yet.
    pub fn mean(&self) -> Result<Vec<f64>> {
        let Some(origin) = &self.origin else {
            return Err(Error::unfit("features", "none", "at least one row"));
        };
        let n = self.count as f64;
        Ok((0..self.dim())
            .map(|j| origin[j] + self.sum[(0, j)] / n)
            .collect())
    }

    /// The covariance, divided by one less than the number of rows.
    ///
    /// # Errors
    ///
    /// Fewer than two rows.
    pub fn covariance(&self) -> Result<Mat<f64>> {
        self.spread(1)
    }

    /// The covariance, divided by the number of rows: that of the rows themselves, which is less than that of where they
    /// come from.
    ///
    /// # Errors
    ///
    /// Fewer than two rows.
    pub fn biased_covariance(&self) -> Result<Mat<f64>> {
        self.spread(0)
    }

    /// Divided by `less` than the number of rows.
    fn spread(&self, less: usize) -> Result<Mat<f64>> {
        if self.count < 2 {
            return Err(Error::unfit("features", self.count, "at least two rows"));
        }
        let n = self.count as f64;
        let mean = &self.sum / n;
        Ok(Mat::from_fn(self.dim(), self.dim(), |i, j| {
            (self.outer[(i, j)] - n * mean[(0, i)] * mean[(0, j)]) / (self.count - less) as f64
        }))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn features_far_from_zero_and_near_each_other_keep_their_digits() {
        let mut moments = Moments::new(1);
        for x in [1e8, 1e8 + 0.5, 1e8 + 1.0] {
            let row = Tensor::new(&[[x]], &Device::Cpu).unwrap();
            moments.add(&row).unwrap();
        }
        assert_eq!(moments.mean().unwrap(), [1e8 + 0.5]);
        assert_eq!(moments.covariance().unwrap()[(0, 0)], 0.25);
        assert!((moments.biased_covariance().unwrap()[(0, 0)] - 0.5 / 3.0).abs() < 1e-12);
    }
}

//! Weighted terms, added up.

use candle_core::Tensor;

use crate::Result;

/// A sum of terms of each pair and terms of the whole batch.
pub(crate) struct Sum {
    each: Tensor, // [n]
    all: Tensor,  // []
}

impl Sum {
    /// Nothing yet, for `pictures: [n, ..]`.
    pub fn new(pictures: &Tensor) -> Result<Self> {
        let (dtype, device) = (pictures.dtype(), pictures.device());
        Ok(Self {
            each: Tensor::zeros(pictures.dim(0)?, dtype, device)?,
            all: Tensor::zeros((), dtype, device)?,
        })
    }

    /// Adds a term of each pair, `[n]`.
    pub fn each(&mut self, weight: f64, term: &Tensor) -> Result<()> {
        self.each = (&self.each + (term * weight)?)?;
        Ok(())
    }

    /// Adds a term of the batch, `[]`.
    pub fn all(&mut self, weight: f64, term: &Tensor) -> Result<()> {
        self.all = (&self.all + (term * weight)?)?;
        Ok(())
    }

    /// The total `[]` and each pair's share `[n]`, both divided by `views`.
    pub fn finish(self, views: usize) -> Result<(Tensor, Tensor)> {
        let mean = |x: &Tensor| x.affine((views as f64).recip(), 0.0);
        let total = (self.each.sum_all()? + self.all)?;
        Ok((mean(&total)?, mean(&self.each)?))
    }
}

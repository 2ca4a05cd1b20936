//! How far a traversal goes.

use candle_core::Tensor;

use crate::{Error, Result};

/// Steps of a traversal along k repurposed directions.
#[derive(Debug, Clone)]
pub enum Steps {
    /// Each of these steps along each direction by itself; k·s edits.
    Each(Vec<f64>),
    /// Joint movements, `[.., k]`: entry `[a, b, i]` is how far edit `[a, b]` goes along direction `i`.
    /// Two leading axes make a picture grid, one a path.
    Joint(Tensor),
}

impl Steps {
    /// One step along each direction.
    #[must_use]
    pub fn one(step: f64) -> Self {
        Self::Each(vec![step])
    }

    /// From a tensor as the published program takes it: a scalar or `[s]` are steps along each
    /// direction, `[a, b, k]` (and here `[a, k]`) are joint movements.
    ///
    /// # Errors
    ///
    /// When a step cannot be read as a number.
    pub fn from_tensor(steps: &Tensor) -> Result<Self> {
        match steps.rank() {
            0 | 1 => {
                let flat = steps.flatten_all()?.to_dtype(candle_core::DType::F64)?;
                Ok(Self::Each(flat.to_vec1()?))
            }
            _ => Ok(Self::Joint(steps.clone())),
        }
    }

    /// Joint movements of two directions of `k`: the first axis goes along `rows.0` by each of `rows.1`,
    /// the second along `columns.0`. Gives `[rows.1.len(), columns.1.len(), k]`.
    ///
    /// # Errors
    ///
    /// When a direction is not below `k`, or both are the same.
    pub fn grid(k: usize, rows: (usize, &[f64]), columns: (usize, &[f64])) -> Result<Self> {
        crate::basis::check_dims("grid", &[rows.0, columns.0], k)?;
        if rows.0 == columns.0 {
            return Err(Error::setting(
                "grid",
                format!("direction {} twice", rows.0),
                "two directions",
            ));
        }
        let (a, b) = (rows.1.len(), columns.1.len());
        let mut data = vec![0.0; a * b * k];
        for (i, at) in data.chunks_exact_mut(k).enumerate() {
            at[rows.0] = rows.1[i / b];
            at[columns.0] = columns.1[i % b];
        }
        Ok(Self::Joint(Tensor::from_vec(
            data,
            (a, b, k),
            &candle_core::Device::Cpu,
        )?))
    }
}

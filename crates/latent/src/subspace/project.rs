//! Projection, traversal and composition, differentiable in the latent.

use candle_core::{DType, Device, Tensor};

use super::Steps;
use crate::basis::{Basis, check_dims};
use crate::{Error, Result};

/// Directions of a basis, gathered in the type and on the device of the latents that they move.
/// See the [module docs](super).
#[derive(Debug, Clone)]
pub struct Subspaces {
    repurposed: Option<Tensor>, // [k, D], in the order given, repetitions kept
    base: Base,
    latent_dim: usize,
    count: usize,
    device: Device,
    dtype: DType,
}

#[derive(Debug, Clone)]
enum Base {
    /// The span of these directions `[m, D]`; `None` when there are none.
    Span(Option<Tensor>),
    /// All that is orthogonal to these directions; `None` when there are none.
    Complement(Option<Tensor>),
}

impl Subspaces {
    /// Repurposes `dims` of `basis`. The order of `dims` is kept in traversals; they may be unsorted, and
    /// repeated, as in the published program (a repeated dimension then counts its mean twice; a
    /// [`Layout`](super::Layout) refuses repetitions).
    ///
    /// With `base_dims` the base subspace has those directions only, and what is neither base nor
    /// repurposed is dropped. Without, it is all the rest of the latent space, also the directions that a
    /// basis of fewer than D columns does not name.
    ///
    /// # Errors
    ///
    /// [`Error::DimensionRange`].
    pub fn new(
        basis: &Basis,
        dims: &[usize],
        base_dims: Option<&[usize]>,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        check_dims("repurposed dimensions", dims, basis.count())?;
        check_dims("base dimensions", base_dims.unwrap_or(&[]), basis.count())?;
        let gather = |dims: &[usize]| match dims {
            [] => Ok(None),
            dims => basis.directions(dims, device, dtype).map(Some),
        };
        let base = match base_dims {
            Some(dims) => Base::Span(gather(dims)?),
            // The published form, B Bᵀ w. It differs from w - R Rᵀ w by the rounding errors of a stored
            // basis, some 1e-6 of w, which is more than the rest of the computation adds.
            None if basis.count() == basis.latent_dim() && !dims.is_empty() => {
                let rest: Vec<_> = (0..basis.count()).filter(|i| !dims.contains(i)).collect();
                Base::Span(gather(&rest)?)
            }
            None => {
                let mut distinct = dims.to_vec();
                distinct.sort_unstable();
                distinct.dedup();
                Base::Complement(gather(&distinct)?)
            }
        };
        Ok(Self {
            repurposed: gather(dims)?,
            base,
            latent_dim: basis.latent_dim(),
            count: dims.len(),
            device: device.clone(),
            dtype,
        })
    }

    /// Number k of repurposed directions.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// `base(w)`: `latent: [n, D]` or `[n, L, D]` with the repurposed coordinates of `mean: [D]` (or of any
    /// shape that broadcasts to the latent), or with zeros there when `mean` is `None`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`], or [`Error::Setting`] when the latent's type is not the one of [`new`](Self::new).
    pub fn project(&self, latent: &Tensor, mean: Option<&Tensor>) -> Result<Tensor> {
        self.check_latent(latent)?;
        let base = match &self.base {
            Base::Span(Some(rows)) => component(latent, rows)?,
            Base::Span(None) => latent.zeros_like()?,
            Base::Complement(Some(rows)) => (latent - component(latent, rows)?)?,
            Base::Complement(None) => latent.clone(),
        };
        match (mean, &self.repurposed) {
            (Some(mean), Some(rows)) => {
                if mean.dims().last() != Some(&self.latent_dim) || mean.rank() > latent.rank() {
                    return Err(Error::shape(
                        "mean",
                        format!("[{}]", self.latent_dim),
                        mean.dims(),
                    ));
                }
                let mean = mean.to_dtype(self.dtype)?.to_device(&self.device)?;
                Ok(base.broadcast_add(&component(&mean, rows)?)?)
            }
            _ => Ok(base),
        }
    }

    /// Moves `base: [n, D]` or `[n, L, D]` (all rows alike) along the repurposed directions.
    ///
    /// [`Steps::Each`] with s steps gives `[s, k, *base]`; [`Steps::Joint`] of shape `[.., k]` gives
    /// `[.., *base]`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`]; [`Error::Setting`] when there is nothing to move along.
    pub fn traverse(&self, base: &Tensor, steps: &Steps) -> Result<Tensor> {
        self.check_latent(base)?;
        let rows = self.rows()?;
        let moves = match steps {
            Steps::Each(steps) if steps.is_empty() => {
                return Err(Error::setting("steps", "none", "at least one"));
            }
            Steps::Each(steps) => {
                let steps = Tensor::new(steps.as_slice(), &Device::Cpu)?.to_dtype(self.dtype)?;
                let steps = steps.to_device(&self.device)?.reshape(((), 1, 1))?;
                steps.broadcast_mul(&rows.unsqueeze(0)?)? // [s, k, D]
            }
            Steps::Joint(steps) => {
                let steps = self.as_coefficients("steps", steps)?;
                let moved = domex_ops::matmul(&steps.reshape(((), self.count))?, rows)?;
                let mut shape = steps.dims()[..steps.rank() - 1].to_vec();
                shape.push(self.latent_dim);
                moved.reshape(shape)?
            }
        };
        // [.., D] -> [.., 1 (n), 1 (layers, for W+), D], and broadcast over the latent.
        let mut shape = moves.dims()[..moves.rank() - 1].to_vec();
        shape.resize(moves.rank() - 1 + base.rank() - 1, 1);
        shape.push(self.latent_dim);
        Ok(moves.reshape(shape)?.broadcast_add(base)?)
    }

    /// Composition `base + Σ_i strengths[i] r_i`, of the shape of `base`. A strength is α·s: see
    /// [`Layout::strengths`](super::Layout::strengths).
    ///
    /// # Errors
    ///
    /// [`Error::Shape`]; [`Error::Setting`] when the number of strengths is not k.
    pub fn compose(&self, base: &Tensor, strengths: &[f64]) -> Result<Tensor> {
        self.check_latent(base)?;
        if strengths.len() != self.count {
            let expected = format!("one per repurposed dimension, {}", self.count);
            return Err(Error::setting(
                "number of strengths",
                strengths.len(),
                expected,
            ));
        }
        if strengths.iter().all(|&s| s == 0.0) {
            return Ok(base.clone());
        }
        let strengths = Tensor::new(strengths, &Device::Cpu)?.unsqueeze(0)?;
        Ok(base.broadcast_add(&self.displacement(&strengths, 2)?.squeeze(0)?)?)
    }

    /// A movement of its own for each sample: `base + coefficients · R`, with `coefficients: [n, k]`.
    /// Differentiable in both.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`].
    pub fn shift(&self, base: &Tensor, coefficients: &Tensor) -> Result<Tensor> {
        self.check_latent(base)?;
        if coefficients.rank() != 2 || coefficients.dims()[0] != base.dims()[0] {
            let expected = format!("[{}, {}]", base.dims()[0], self.count);
            return Err(Error::shape("coefficients", expected, coefficients.dims()));
        }
        Ok(base.broadcast_add(&self.displacement(coefficients, base.rank())?)?)
    }

    /// `[n, k]` to `[n, D]`, or `[n, 1, D]` for latents of rank 3.
    fn displacement(&self, coefficients: &Tensor, rank: usize) -> Result<Tensor> {
        let coefficients = self.as_coefficients("coefficients", coefficients)?;
        let moved = domex_ops::matmul(&coefficients, self.rows()?)?;
        Ok(if rank == 3 {
            moved.unsqueeze(1)?
        } else {
            moved
        })
    }

    fn as_coefficients(&self, what: &str, t: &Tensor) -> Result<Tensor> {
        if t.rank() < 2 || t.dims().last() != Some(&self.count) || t.elem_count() == 0 {
            return Err(Error::shape(
                what,
                format!("[.., {}]", self.count),
                t.dims(),
            ));
        }
        Ok(t.to_dtype(self.dtype)?.to_device(&self.device)?)
    }

    fn rows(&self) -> Result<&Tensor> {
        let none = || {
            Error::setting(
                "repurposed dimensions",
                "none",
                "at least one to move along",
            )
        };
        self.repurposed.as_ref().ok_or_else(none)
    }

    fn check_latent(&self, latent: &Tensor) -> Result<()> {
        let dim = self.latent_dim;
        if !matches!(latent.rank(), 2 | 3) || latent.dims().last() != Some(&dim) {
            let expected = format!("[n, {dim}] or [n, layers, {dim}]");
            return Err(Error::shape("latent", expected, latent.dims()));
        }
        if latent.dtype() != self.dtype {
            return Err(Error::setting(
                "latent type",
                latent.dtype().as_str(),
                self.dtype.as_str(),
            ));
        }
        Ok(())
    }
}

/// The part of `x: [.., D]` in the span of the orthonormal `rows: [m, D]`: `(x rowsᵀ) rows`.
fn component(x: &Tensor, rows: &Tensor) -> Result<Tensor> {
    let flat = x.reshape(((), rows.dims()[1]))?;
    let coordinates = domex_ops::matmul(&flat, &rows.t()?)?;
    Ok(domex_ops::matmul(&coordinates, rows)?.reshape(x.dims())?)
}

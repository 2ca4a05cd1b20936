//! Where in the latent space of an expanded model a picture is looked for.

use candle_core::Tensor;
use domex_latent::subspace::Subspaces;

use crate::Result;

/// A translated copy of the base subspace: `w ↦ base(w) + Σ strengths_i · r_i`, with the directions `r_i` of the domains.
///
/// With strengths of 0 it is the base subspace itself, so that a photograph can be shown in every domain afterwards; with a
/// domain's distance it is that domain's subspace, for a picture that is of the domain already.
#[derive(Debug, Clone)]
pub struct Place {
    /// Base and repurposed directions of the model.
    pub subspaces: Subspaces,
    /// The model's mean latent `[D]`.
    pub mean: Tensor,
    /// How far along each repurposed direction.
    pub strengths: Vec<f64>,
}

impl Place {
    /// The latents `[n, rows, D]` of this place that belong to any latents. Differentiable.
    pub(crate) fn bring(&self, latents: &Tensor) -> Result<Tensor> {
        let base = self.subspaces.project(latents, Some(&self.mean))?;
        Ok(self.subspaces.compose(&base, &self.strengths)?)
    }
}

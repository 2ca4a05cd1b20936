//! What a step's samples are made of: their latents, and their pictures.

use candle_core::Tensor;

use crate::Result;

/// The latents of a step `[n, D]`.
#[derive(Debug, Clone)]
pub struct Latents {
    /// On the base subspace.
    pub base: Tensor,
    /// Moved along each sample's direction.
    pub edited: Tensor,
}

impl Latents {
    /// Those of some samples that follow one another.
    ///
    /// # Errors
    ///
    /// Samples that are not there.
    pub fn narrow(&self, start: usize, count: usize) -> Result<Self> {
        Ok(Self {
            base: self.base.narrow(0, start, count)?,
            edited: self.edited.narrow(0, start, count)?,
        })
    }
}

/// The pictures of a step `[n, c, h, w]`.
#[derive(Debug, Clone)]
pub struct Pictures {
    /// Of the base latents.
    pub base: Tensor,
    /// Of the edited ones.
    pub edited: Tensor,
    /// Of the base latents, by the source generator; `None` where nothing is compared with it.
    pub source: Option<Tensor>,
}

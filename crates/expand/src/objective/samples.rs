//! What a step's samples are made of: their latents, and their pictures.

use candle_core::Tensor;
use domex_train::Team;

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

impl Pictures {
    /// Without a graph, and without those by the source.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            base: self.base.detach(),
            edited: self.edited.detach(),
            source: None,
        }
    }

    /// The base and edited pictures of several passes as one, with those of other ranks.
    ///
    /// # Errors
    ///
    /// No pass, or a rank that is lost.
    pub fn joined(passes: &[Self], team: &Team) -> Result<Self> {
        let own = Self::joined_here(passes)?;
        Ok(Self {
            base: team.join_rows(&own.base)?,
            edited: team.join_rows(&own.edited)?,
            source: None,
        })
    }

    fn joined_here(passes: &[Self]) -> Result<Self> {
        if let [one] = passes {
            return Ok(one.clone());
        }
        let join = |part: fn(&Self) -> &Tensor| {
            let parts: Vec<&Tensor> = passes.iter().map(part).collect();
            Tensor::cat(&parts, 0)
        };
        Ok(Self {
            base: join(|pictures| &pictures.base)?,
            edited: join(|pictures| &pictures.edited)?,
            source: None,
        })
    }
}

//! A model as the latent maths sees it in an expansion.

use candle_core::{DType, Device, Tensor};
use domex_diffae::Model;
use domex_latent::{ActingMatrix, Generator, Result};

use crate::codes::Codes;

/// A model whose latents are its prior's, or the codes of pictures.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub model: Model,
    pub codes: Option<Codes>,
}

impl Network {
    /// The same with other weights.
    pub fn with_model(&self, model: Model) -> Self {
        Self {
            model,
            codes: self.codes.clone(),
        }
    }
}

impl Generator for Network {
    fn latent_dim(&self) -> usize {
        self.model.latent_dim()
    }

    fn layers(&self) -> usize {
        self.model.layers()
    }

    fn noise_dim(&self) -> usize {
        self.model.noise_dim()
    }

    fn label_dim(&self) -> usize {
        self.model.label_dim()
    }

    fn resolution(&self) -> usize {
        self.model.resolution()
    }

    fn channels(&self) -> usize {
        self.model.channels()
    }

    fn widest(&self) -> usize {
        self.model.widest()
    }

    fn device(&self) -> &Device {
        self.model.device()
    }

    fn dtype(&self) -> DType {
        self.model.dtype()
    }

    fn mean(&self) -> Result<Tensor> {
        match &self.codes {
            Some(codes) => Ok(codes.statistics.mean.squeeze(0)?),
            None => self.model.mean(),
        }
    }

    fn map(&self, z: &Tensor, label: Option<&Tensor>) -> Result<Tensor> {
        match (&self.codes, label) {
            (Some(codes), None) => Ok(codes.pick(z)?),
            _ => self.model.map(z, label),
        }
    }

    fn acting_matrices(&self) -> Result<Vec<ActingMatrix>> {
        self.model.acting_matrices()
    }

    fn synthesize(&self, latent: &Tensor) -> Result<Tensor> {
        self.model.synthesize(latent)
    }
}

//! A CLIP network that guides a generator.

use std::sync::Arc;

use candle_core::Tensor;
use domex_clip::{Clip, Preprocess, Tokenizer};

use crate::{Error, Result};

/// Pictures that go through the tower at once where there may be many: a bound for memory.
const CHUNK: usize = 16;

/// A network with what it needs to look at pictures and texts, and its say.
#[derive(Debug, Clone)]
pub struct Guide {
    /// For messages and records.
    pub name: String,
    /// The network. Frozen: see [`Clip::new`].
    pub clip: Clip,
    /// What cuts texts for it.
    pub tokenizer: Arc<Tokenizer>,
    /// Its factor in the sum over networks. Factors are summed, not averaged.
    pub weight: f64,
    /// Whether pictures are made smaller with antialiasing. The published programs do not.
    pub antialias: bool,
}

impl Guide {
    /// A network of weight 1 that sees pictures as published.
    pub fn new(name: impl Into<String>, clip: Clip, tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            name: name.into(),
            clip,
            tokenizer,
            weight: 1.0,
            antialias: false,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.weight.is_finite() && self.weight > 0.0 {
            return Ok(());
        }
        Err(Error::config(
            format!("weight of CLIP network {:?}", self.name),
            self.weight,
            "a number above 0",
        ))
    }

    /// Features `[n, d]`, of any length, of `pictures: [n, 3, h, w]` in `[-1, 1]`, in the pictures' type
    /// whatever that of the network is. Differentiable.
    ///
    /// # Errors
    ///
    /// A wrong shape or type.
    pub fn features(&self, pictures: &Tensor) -> Result<Tensor> {
        let preprocess = Preprocess {
            size: self.clip.image_size(),
            antialias: self.antialias,
        };
        let pixels = preprocess.apply(pictures)?;
        let pixels = pixels.to_dtype(self.clip.logit_scale().dtype())?;
        let features = self.clip.image_features(&pixels)?;
        Ok(features.to_dtype(pictures.dtype())?)
    }

    /// [`features`](Self::features) of as many pictures as there are, some after the other, without a graph.
    ///
    /// # Errors
    ///
    /// A wrong shape or type; no picture.
    pub fn features_of_many(&self, pictures: &[Tensor]) -> Result<Tensor> {
        let mut features = Vec::new();
        for pictures in pictures {
            let n = pictures.dim(0)?;
            for start in (0..n).step_by(CHUNK) {
                let chunk = pictures.narrow(0, start, CHUNK.min(n - start))?;
                features.push(self.features(&chunk.detach())?.detach());
            }
        }
        match features.is_empty() {
            false => Ok(Tensor::cat(&features, 0)?),
            true => Err(Error::config("number of pictures", 0, "at least 1")),
        }
    }

    /// Brings numbers from elsewhere to the network's device.
    pub(crate) fn bring(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_device(self.clip.logit_scale().device())?)
    }
}

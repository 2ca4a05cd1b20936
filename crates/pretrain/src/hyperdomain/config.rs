//! Settings of a hypernetwork's training.

use domex_hyperdomain::augment::COSINE;
use domex_nada::Augment;
use serde::{Deserialize, Serialize};

use crate::trainer::Learning;
use crate::{Error, Result};

/// What is done to the texts' embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    /// Nothing: the published `td_multiple`.
    None,
    /// The published `td_multiple_resample_and_convex`.
    #[default]
    ResampleAndConvex,
}

/// Weights of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// An edit goes the way of its text.
    pub direction: f64,
    /// Pictures of two domains differ as their texts do.
    pub target_direction: f64,
    /// Pictures of one domain differ as they did before; counts where a batch has a text twice.
    pub in_domain: f64,
    /// The mean square of a layer's numbers, summed over layers.
    pub norm: f64,
    /// To CLIP, a picture is the one that should come out. Counts, as the next two do, where that one is known.
    #[serde(default)]
    pub reconstruction: f64,
    /// The same by the perceptual network.
    #[serde(default)]
    pub perceptual: f64,
    /// The mean square difference of the two.
    #[serde(default)]
    pub squares: f64,
}

impl Default for Weights {
    /// 1, 0.4, 0 and 0.8, as published.
    fn default() -> Self {
        Self {
            direction: 1.0,
            target_direction: 0.4,
            in_domain: 0.0,
            norm: 0.8,
            reconstruction: 0.0,
            perceptual: 0.0,
            squares: 0.0,
        }
    }
}

impl Weights {
    fn all(&self) -> [f64; 7] {
        [
            self.direction,
            self.target_direction,
            self.in_domain,
            self.norm,
            self.reconstruction,
            self.perceptual,
            self.squares,
        ]
    }
}

/// Settings of a hypernetwork's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HyperdomainConfig {
    /// The network.
    pub network: domex_hyperdomain::Config,
    /// What is done to embeddings.
    pub augmentation: Augmentation,
    /// Smallest cosine between a target and what resampling makes of it.
    pub cosine: f64,
    /// How it learns.
    pub learning: Learning,
    /// Weights of the loss.
    pub weights: Weights,
    /// Random views of pictures before a CLIP model sees them.
    pub augment: Augment,
    /// The text of the generator's own pictures.
    pub source: String,
    /// The texts that it learns.
    pub texts: Vec<String>,
    /// Texts that are measured and not learnt.
    pub unseen: Vec<String>,
    /// Of weights, latents and texts.
    pub seed: u64,
}

impl HyperdomainConfig {
    /// The shipped recipe for `images` edited pictures.
    #[must_use]
    pub fn new(network: domex_hyperdomain::Config, images: u64) -> Self {
        Self {
            network,
            augmentation: Augmentation::default(),
            cosine: COSINE,
            learning: Learning {
                images,
                batch: 12,
                lr: 1e-3,
                weight_decay: 0.0,
                longest_gradient: 1.0,
                ema_kimg: None,
            },
            weights: Weights::default(),
            augment: Augment {
                shift: 0.1,
                noise: 0.2,
                ..Augment::default()
            },
            source: "photo".to_owned(),
            texts: Vec::new(),
            unseen: Vec::new(),
            seed: 0,
        }
    }

    /// Refuses what no training can be made of.
    ///
    /// # Errors
    ///
    /// A setting out of range.
    pub fn validate(&self) -> Result<()> {
        self.network.validate()?;
        if self.learning.batch < 2 {
            let expected = "at least 2: batch normalisation has no variance of one";
            return Err(Error::config("batch", self.learning.batch, expected));
        }
        if self.texts.len() < 2 {
            let expected = "at least 2: one domain alone is what `domex expand` learns";
            return Err(Error::config("number of texts", self.texts.len(), expected));
        }
        if !(0.0..=1.0).contains(&self.cosine) {
            return Err(Error::config("smallest cosine", self.cosine, "0 to 1"));
        }
        let weights = self.weights.all();
        if let Some(bad) = weights.into_iter().find(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::config("weight of a loss", bad, "0 or more"));
        }
        Ok(())
    }
}

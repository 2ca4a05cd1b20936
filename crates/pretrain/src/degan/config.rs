//! Settings of a domain encoder's training.

use domex_degan::FadeIn;
use domex_nada::Augment;
use serde::{Deserialize, Serialize};

use crate::trainer::Learning;
use crate::{Error, Result};

/// Weights of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// An edit goes the way of its style.
    pub direction: f64,
    /// Pictures of two domains differ as the pictures of their styles do.
    pub target_direction: f64,
    /// Pictures of one domain differ as they did before.
    pub in_domain: f64,
    /// To CLIP, a picture is the one that should come out. Counts, as the next two do, where that one is known.
    pub reconstruction: f64,
    /// The same by the perceptual network.
    pub perceptual: f64,
    /// The mean square difference of the two.
    pub squares: f64,
    /// Features or styles of a VGG are those of the picture of the style.
    pub vgg: f64,
    /// The mean square of what is added to a layer's style, summed over layers.
    pub norm: f64,
    /// The same of what the generator's own pictures would add, which should be nothing.
    pub source: f64,
}

impl Weights {
    /// What is published: 1, 1 and 12 for the losses by CLIP. `vgg` is for sums over 224² positions.
    pub const PUBLISHED: Self = Self {
        direction: 1.0,
        target_direction: 1.0,
        in_domain: 12.0,
        reconstruction: 0.0,
        perceptual: 0.0,
        squares: 0.0,
        vgg: 1e-4,
        norm: 0.0,
        source: 1.0,
    };

    fn all(&self) -> [f64; 9] {
        [
            self.direction,
            self.target_direction,
            self.in_domain,
            self.reconstruction,
            self.perceptual,
            self.squares,
            self.vgg,
            self.norm,
            self.source,
        ]
    }
}

/// Settings of a domain encoder's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeganConfig {
    /// The network.
    pub network: domex_degan::Config,
    /// How it learns. A batch is pictures of all domains in a step.
    pub learning: Learning,
    /// Pictures of one domain in a batch.
    pub expand: usize,
    /// How the offsets come in.
    pub fade_in: FadeIn,
    /// Weights of the loss.
    pub weights: Weights,
    /// The furthest that the colours of a domain are changed, gain and offset, in every other draw: other domains of the same
    /// pictures.
    pub colours: f64,
    /// Random views of pictures before a CLIP model sees them.
    pub augment: Augment,
    /// Of weights, latents and styles.
    pub seed: u64,
}

impl DeganConfig {
    /// The published recipe for `images` edited pictures.
    #[must_use]
    pub fn new(network: domex_degan::Config, images: u64) -> Self {
        Self {
            network,
            learning: Learning {
                images,
                batch: 32,
                lr: 1e-3,
                weight_decay: 0.0,
                longest_gradient: 1.0,
                ema_kimg: Some(1.0),
            },
            expand: 4,
            fade_in: FadeIn {
                steps: 2000,
                ..FadeIn::default()
            },
            weights: Weights::PUBLISHED,
            colours: 0.0,
            augment: Augment::default(),
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
        self.fade_in.validate()?;
        let (batch, expand) = (self.learning.batch, self.expand);
        if expand == 0 || batch == 0 || !batch.is_multiple_of(expand) {
            let expected = format!("a multiple of {expand}, the pictures of a domain");
            return Err(Error::config("batch", batch, expected));
        }
        if batch / expand < 2 {
            let expected = format!("at least {}: two domains", 2 * expand);
            return Err(Error::config("batch", batch, expected));
        }
        let lr = self.learning.lr;
        if !(lr.is_finite() && lr > 0.0) {
            return Err(Error::config("learning rate", lr, "above 0"));
        }
        if !(0.0..=0.9).contains(&self.colours) {
            return Err(Error::config("change of colours", self.colours, "0 to 0.9"));
        }
        let weights = self.weights.all();
        if let Some(bad) = weights.into_iter().find(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::config("weight of a loss", bad, "0 or more"));
        }
        Ok(())
    }
}

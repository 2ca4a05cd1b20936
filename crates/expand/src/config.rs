//! Settings of an expansion. The default ones are those that were published.

use domex_replay::PathLengthConfig;
use domex_train::adam::AdamConfig;
use domex_train::ema::EmaConfig;
use serde::{Deserialize, Serialize};

use crate::layers::AdaptiveLayers;
use crate::objective::ObjectiveConfig;
use crate::{Error, Result};

/// Everything that decides a run, but its length, its tasks and its networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Samples of a step; each draws a task of its own.
    pub batch: usize,
    /// Learning rate of both networks; the optimiser's betas are 0 and 0.99. Adam without a first
    /// moment moves every weight by about this much a step, whatever the loss.
    pub lr: f64,
    /// The last share of a run, over which both learning rates fall to nothing in a straight line.
    pub cooldown: f64,
    /// How far along its direction a domain lies, where its task does not say.
    pub distance: f64,
    /// How tasks without a dimension of their own get one.
    pub dimensions: Dimensions,
    /// The terms of the loss.
    pub objective: ObjectiveConfig,
    /// CLIP terms and what is shown to CLIP.
    pub nada: domex_nada::Config,
    /// Whether pictures are made smaller for CLIP with antialiasing. The published programs did it without.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub antialias: bool,
    /// Which layers a step trains: the few that matter most to its tasks, or without this all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_layers: Option<AdaptiveLayers>,
    /// Weight of the source's adversarial loss and of path length; 0 for neither.
    pub src: f64,
    /// Weight of the discriminator's opinion of edited pictures.
    pub realism: f64,
    /// Weight of R1.
    pub gamma: f64,
    /// Steps from one R1 to the next.
    pub r1_interval: u64,
    /// Path length regularisation.
    pub path_length: PathLengthConfig,
    /// Steps from one to the next.
    pub path_length_interval: u64,
    /// Probability of style mixing in the path length phase.
    pub style_mixing: f64,
    /// The generator's moving average.
    pub ema: EmaConfig,
}

/// How a task gets its dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dimensions {
    /// The most dormant free one, by the order of the basis.
    #[default]
    Dormant,
    /// The free one that changes pictures least when walked along as far as a domain lies: measured on a few latents, which
    /// takes as long as some dozens of steps.
    Probed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: 4,
            lr: 0.001,
            cooldown: 0.0,
            distance: 20.0,
            dimensions: Dimensions::default(),
            objective: ObjectiveConfig::default(),
            nada: domex_nada::Config::default(),
            antialias: false,
            adaptive_layers: None,
            src: 1.0,
            realism: 0.0,
            gamma: 10.0,
            r1_interval: 16,
            path_length: PathLengthConfig::default(),
            path_length_interval: 4,
            style_mixing: 0.9,
            ema: EmaConfig {
                kimg: 10.0,
                // Else a run of a few thousand images would export the source.
                ramp_up: Some(0.1),
            },
        }
    }
}

impl Config {
    /// # Errors
    ///
    /// The first number out of range.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("batch", self.batch as f64),
            ("lr", self.lr),
            ("distance", self.distance),
        ];
        for (name, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::setting(name, value, "a number above 0"));
            }
        }
        let not_negative = [
            ("src", self.src),
            ("realism", self.realism),
            ("gamma", self.gamma),
        ];
        for (name, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(name, value, "0 or more"));
            }
        }
        if !(0.0..=1.0).contains(&self.cooldown) {
            return Err(Error::setting("cooldown", self.cooldown, "0 to 1"));
        }
        for (name, value) in [
            ("r1_interval", self.r1_interval),
            ("path_length_interval", self.path_length_interval),
        ] {
            if value == 0 {
                return Err(Error::setting(name, 0, "1 or more"));
            }
        }
        if let Some(layers) = &self.adaptive_layers {
            layers.validate()?;
        }
        self.objective.validate()?;
        self.path_length.validate()?;
        Ok(self.nada.validate()?)
    }

    /// The optimiser's numbers before the correction for lazy regularisation.
    pub(crate) fn adam(&self) -> AdamConfig {
        AdamConfig {
            lr: self.lr,
            beta1: 0.0,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

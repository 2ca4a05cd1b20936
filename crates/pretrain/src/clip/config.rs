//! Settings of a contrastive model's training.

use domex_clip::Config;
use domex_nada::Augment;
use serde::{Deserialize, Serialize};

use super::hard_negatives::HardNegativeConfig;
use crate::feed::Feed;
use crate::trainer::Learning;

/// How the network is attacked while it learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robust {
    /// Largest Euclidean length of an attack on a picture in `[-1, 1]`; each picture's is drawn between
    /// nothing and it, long ones oftener.
    pub radius: f64,
    /// The share of the run over which it grows from 0.
    pub growth: f64,
    /// Gradient steps of an attack; at each place on its way the network learns too. 0 for none.
    pub steps: usize,
}

impl Robust {
    /// Not at all.
    pub const NONE: Self = Self {
        radius: 0.0,
        growth: 0.05,
        steps: 0,
    };
}

/// Settings of a contrastive model's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// The network; its vocabulary's size is that of `merges`.
    pub network: Config,
    /// Its vocabulary, see [`super::vocabulary`].
    pub merges: String,
    /// How it learns.
    pub learning: Learning,
    /// What it is shown.
    pub feed: Feed,
    /// How it is attacked.
    pub robust: Robust,
    /// What is steered to be mistaken by it.
    pub hard_negatives: HardNegativeConfig,
    /// How all of this is looked at, the noise being of any strength up to the one here.
    pub views: Augment,
    /// Weight of the captions' loss beside the domains'.
    pub captions: f64,
    /// Weight of the questions'.
    pub questions: f64,
    /// Scenes of each domain in a tick's measurement.
    pub measured: usize,
    /// Of weights, scenes, words and attacks.
    pub seed: u64,
}

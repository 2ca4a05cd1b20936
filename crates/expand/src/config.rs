//! Settings of an expansion. The default ones are those that were published.

use domex_train::accumulate;
use domex_train::adam::AdamConfig;
use domex_train::ema::EmaConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::layers::AdaptiveLayers;
use crate::methods::adversarial::AdversarialConfig;
use crate::methods::diffusion::DiffusionConfig;
use crate::methods::mystyle::MyStyleConfig;
use crate::objective::ObjectiveConfig;
use crate::parametrisation::StyleDomainConfig;
use crate::recipe::overlay;
use crate::suggest::with_suggestion;
use crate::{Error, ParametrisationKind, Result, SourceSettings};

/// Everything that decides a run, but its length, its tasks and its networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Samples of a step; each draws a task of its own.
    pub batch: usize,
    /// Samples of a step that are in memory at once; gradients are accumulated. Without it, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Activations are computed again on the way back where the generator's kind can, and samples are one at a time unless
    /// `micro_batch` says how many: slower, in a fraction of the memory. What is learnt is the same to rounding, and to the bit
    /// where no gradient is differentiated again (R1, path length).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub low_memory: bool,
    /// Whether the CLIP models and the perceptual network that losses are made of are held in float16: half the memory, and tensor cores
    /// multiply. Pictures, features and losses are float32 all the same. It is for GPUs; who loads the networks does it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub half_losses: bool,
    /// Learning rate of all networks; the optimizer's betas are 0 and 0.99. Adam without a first
    /// moment moves every weight by about this much a step, whatever the loss.
    pub lr: f64,
    /// The last part of a run, from 0 to 1, over which the learning rates fall to nothing in a straight line.
    pub cooldown: f64,
    /// How far along its direction a domain lies, where its task does not say; without this the generator's kind
    /// [says it](crate::Trainee::distance).
    pub distance: Option<f64>,
    /// How tasks without a dimension of their own get one.
    pub dimensions: Dimensions,
    /// How many of the free directions, those that further domains would get, are held as the source generator has them: without,
    /// learning domains wakes directions that were dormant.
    #[serde(skip_serializing_if = "is_default")]
    pub reserve: usize,
    /// Where the domains lie: in subspaces, or one in the whole latent space.
    #[serde(skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// What is trained.
    #[serde(skip_serializing_if = "ParametrisationKind::is_default")]
    pub parametrisation: ParametrisationKind,
    /// What StyleDomain's parametrisations leave open.
    #[serde(skip_serializing_if = "StyleDomainConfig::is_default")]
    pub styledomain: StyleDomainConfig,
    /// The class that latents are drawn of, for a generator that has classes; without one, all of them, drawn at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<usize>,
    /// The terms of the loss.
    pub objective: ObjectiveConfig,
    /// Of the method `nada`: CLIP terms and what is shown to CLIP.
    pub nada: domex_nada::Config,
    /// Of the method `nada`: whether pictures are made smaller for CLIP with antialiasing. The published programs did it
    /// without.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub antialias: bool,
    /// Of the method `mystyle`.
    #[serde(skip_serializing_if = "is_default")]
    pub mystyle: MyStyleConfig,
    /// Of the method `diffusion`.
    #[serde(skip_serializing_if = "is_default")]
    pub diffusion: DiffusionConfig,
    /// Of the method `adversarial`.
    #[serde(skip_serializing_if = "is_default")]
    pub adversarial: AdversarialConfig,
    /// Which layers a step trains: the few that matter most to its tasks, or without this all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_layers: Option<AdaptiveLayers>,
    /// The generator's moving average.
    pub ema: EmaConfig,
    /// Of the generator's own training on its source domain: what its [kind](SourceSettings) reads. In files these keys stand
    /// beside the others.
    #[serde(flatten)]
    pub source: Map<String, Json>,
}

fn is_default<T: Default + PartialEq>(config: &T) -> bool {
    *config == T::default()
}

/// Keys of the settings, but for those of the source's training.
const KEYS: [&str; 21] = [
    "batch",
    "micro_batch",
    "low_memory",
    "half_losses",
    "lr",
    "cooldown",
    "distance",
    "dimensions",
    "reserve",
    "placement",
    "parametrisation",
    "styledomain",
    "class",
    "objective",
    "nada",
    "antialias",
    "mystyle",
    "diffusion",
    "adversarial",
    "adaptive_layers",
    "ema",
];

/// Where the domains of a run lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Each in the subspace of a direction that it repurposes.
    #[default]
    Subspaces,
    /// One domain everywhere: the whole generator is adapted to it, and nothing holds what it was. This is StyleGAN-NADA
    /// as published (Gal et al. 2021, arXiv 2108.00946), what an expansion is compared with.
    Whole,
}

impl Placement {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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
            micro_batch: None,
            low_memory: false,
            half_losses: false,
            lr: 0.001,
            cooldown: 0.0,
            distance: None,
            dimensions: Dimensions::default(),
            reserve: 0,
            placement: Placement::default(),
            parametrisation: ParametrisationKind::default(),
            styledomain: StyleDomainConfig::default(),
            class: None,
            objective: ObjectiveConfig::default(),
            nada: domex_nada::Config::default(),
            antialias: false,
            mystyle: MyStyleConfig::default(),
            diffusion: DiffusionConfig::default(),
            adversarial: AdversarialConfig::default(),
            adaptive_layers: None,
            ema: EmaConfig {
                kimg: 10.0,
                // Else a run of a few thousand images would export the source.
                ramp_up: Some(0.1),
            },
            source: Map::new(),
        }
    }
}

/// Pictures that a published discriminator compares with one another.
const GROUP: usize = 4;

impl Config {
    /// # Errors
    ///
    /// The first number out of range.
    pub fn validate(&self) -> Result<()> {
        let positive = [("batch", self.batch as f64), ("lr", self.lr)];
        let distance = self.distance.map(|distance| ("distance", distance));
        for (name, value) in positive.into_iter().chain(distance) {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::setting(name, value, "a number above 0"));
            }
        }
        if let Some(micro) = self.micro_batch
            && !(1..=self.batch).contains(&micro)
        {
            let expected = format!("1 to the batch, which is {}", self.batch);
            return Err(Error::setting("micro_batch", micro, expected));
        }
        if !(0.0..=1.0).contains(&self.cooldown) {
            return Err(Error::setting("cooldown", self.cooldown, "0 to 1"));
        }
        let held = self.placement == Placement::Subspaces && !self.objective.alignment.is_off();
        if self.reserve > 0 && !held {
            let expected = "0, or domains in subspaces and a weight of objective.alignment";
            return Err(Error::setting("reserve", self.reserve, expected));
        }
        if let Some(layers) = &self.adaptive_layers {
            layers.validate()?;
        }
        self.styledomain.validate(self.parametrisation)?;
        self.objective.validate()?;
        self.check_compared("objective.diversity", self.objective.diversity, 2)?;
        self.mystyle.validate()?;
        self.diffusion.validate()?;
        self.adversarial.validate()?;
        Ok(self.nada.validate()?)
    }

    /// Samples of each pass that make up a step.
    #[must_use]
    pub fn passes(&self) -> Vec<usize> {
        let most = if self.low_memory { 1 } else { self.batch };
        accumulate::passes(self.batch, self.micro_batch.unwrap_or(most))
    }

    /// Refuses the weight of a term that compares so many samples of a pass or more, where a pass has fewer: it would count for
    /// nothing there.
    pub(crate) fn check_compared(&self, key: &str, weight: f64, needed: usize) -> Result<()> {
        let fewest = self.passes().into_iter().min().unwrap_or(0);
        if weight == 0.0 || fewest >= needed {
            return Ok(());
        }
        let expected = format!(
            "0, or passes of {needed} samples or more, which it compares; the smallest has {fewest} (batch, micro_batch, low_memory)"
        );
        Err(Error::setting(key, weight, expected))
    }

    /// Whether a base subspace moves as domains are learnt, so that training on the source domain holds something.
    #[must_use]
    pub fn moves_base(&self) -> bool {
        self.placement == Placement::Subspaces && self.parametrisation.changes_base()
    }

    /// What could be changed so that a step needs less memory, in words.
    pub(crate) fn needs_less(&self) -> String {
        let most = self.passes().into_iter().max().unwrap_or(1);
        match (most, self.low_memory) {
            (2.., _) => format!(
                "a run with --micro-batch {} needs less, for more time",
                accumulate::smaller(self.batch, most, GROUP)
            ),
            (_, false) => "a run with --low-memory needs a fraction, for more time".to_owned(),
            (_, true) => "a generator of a lower resolution needs less".to_owned(),
        }
    }

    /// The settings in this table, those of the source's training completed as its kind says; or what is wrong with them.
    ///
    /// # Errors
    ///
    /// A key that is not known (the nearest one is named), or a value of the wrong type.
    pub fn read(table: &toml::Table, source: &SourceSettings) -> std::result::Result<Self, String> {
        let mut all = (source.defaults)();
        overlay(&mut all, table);
        let config = Self::deserialize(all);
        let mut config = config.map_err(|error| with_suggestion(&error.to_string()))?;
        config.complete(source)?;
        Ok(config)
    }

    /// Completes the settings that only this kind has.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn complete(&mut self, source: &SourceSettings) -> std::result::Result<(), String> {
        let known = |key: &&String| source.keys.contains(&key.as_str());
        if let Some(key) = self.source.keys().find(|key| !known(key)) {
            let known: Vec<&str> = KEYS.iter().chain(source.keys).copied().collect();
            let known = known.join("`, `");
            return Err(with_suggestion(&format!(
                "unknown field `{key}`, expected one of `{known}`"
            )));
        }
        // What JSON keeps of a number that is none.
        if let Some((key, _)) = self.source.iter().find(|(_, value)| value.is_null()) {
            return Err(format!("{key}: not a finite number, expected one"));
        }
        let complete = (source.complete)(&self.source);
        self.source = complete.map_err(|error| with_suggestion(&error))?;
        Ok(())
    }

    /// The optimizer's numbers before the correction for lazy regularisation.
    pub fn adam(&self) -> AdamConfig {
        AdamConfig {
            lr: self.lr,
            beta1: 0.0,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

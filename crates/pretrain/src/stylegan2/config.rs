//! Settings of a training, and the presets that people know.
//!
//! Names and numbers follow `train.py` of stylegan2-ada-pytorch, table by table:
//!
//! | preset | batch | mbstd | base | lr | γ | ema kimg | ramp | map | remarks |
//! |---|---|---|---|---|---|---|---|---|---|
//! | stylegan2 | 32 | 4 | 32768 | .002 | 10 | 10 | – | 8 | |
//! | paper256 | 64 | 8 | 16384 | .0025 | 1 | 20 | – | 8 | |
//! | paper512 | 64 | 8 | 32768 | .0025 | .5 | 20 | – | 8 | |
//! | paper1024 | 32 | 4 | 32768 | .002 | 2 | 10 | – | 8 | |
//! | cifar | 64 | 32 | 32768 | .0025 | .01 | 500 | .05 | 2 | path length of weight 0, no mixing, D orig |
//! | auto | by size | min(b, 4) | by size | by size | .0002 r²/b | 10 b/32 | .05 | 2 | |
//! | portraits | 16 | 4 | 1536 | .0025 | .0002 r²/b, at least .05 | 5 | .05 | 2 | the world that ships |

use domex_gan::PathLengthConfig;
use domex_stylegan2::{Architecture, DiscriminatorConfig, GeneratorConfig, MappingConfig, config};
use domex_train::accumulate;
use domex_train::adam::AdamConfig;
use domex_train::ema::EmaConfig;
use serde::{Deserialize, Serialize};

use super::{Imitation, NetworkConfigs};
use crate::{Error, Result};
use domex_gan::augment::{Ada, AdaConfig, Augment, AugmentConfig};

/// Everything that decides a training, but its length and its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Width and height of the pictures: a power of two.
    pub resolution: usize,
    /// Channels of the pictures: 3 for colours, 1 for grey.
    #[serde(default = "colours")]
    pub channels: usize,
    /// Size of the labels, 0 for none.
    pub label_dim: usize,
    /// Size of the noise input.
    pub z_dim: usize,
    /// Size of the latent.
    pub w_dim: usize,
    /// Layers of the generator's mapping network; the discriminator's, where there are labels, has eight.
    pub map_layers: usize,
    /// How fast the mapping network learns beside the others.
    #[serde(default = "slow_mapping")]
    pub map_lr_multiplier: f64,
    /// Features are `min(channel_base / resolution, channel_max)`.
    pub channel_base: usize,
    /// Most features.
    pub channel_max: usize,
    /// Architecture of the discriminator.
    pub discriminator: Architecture,
    /// Samples that the minibatch standard deviation compares.
    pub mbstd_group: usize,
    /// Pictures in a step.
    pub batch: usize,
    /// Pictures in one pass through a network; the passes of a step are added up. At most `batch`.
    pub micro_batch: usize,
    /// Learning rate of both networks; the optimizer's other numbers are 0, 0.99 and 1e-8.
    pub lr: f64,
    /// Weight of R1. With 0 nothing is computed, but the discriminator's optimizer is corrected for it, as published.
    pub gamma: f64,
    /// Steps from one R1 to the next.
    pub r1_interval: u64,
    /// Path length regularisation, `None` for none. With a weight of 0 nothing is computed either, but the generator's optimizer is
    /// corrected for it, as published.
    pub path_length: Option<PathLengthConfig>,
    /// Steps from one to the next.
    pub path_length_interval: u64,
    /// Probability of style mixing.
    pub style_mixing: f64,
    /// The generator's moving average.
    pub ema: EmaConfig,
    /// What the discriminator is shown.
    pub augment: Augmentation,
    /// Layers of the discriminator, from the highest resolution on, that are not trained.
    pub freeze_d: usize,
    /// Pictures that the generator is shown for its latents, `None` where there is nobody to draw them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imitation: Option<Imitation>,
    /// Networks that are described by these instead of the numbers above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Box<NetworkConfigs>>,
}

/// Augmentation of what the discriminator is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Augmentation {
    /// None.
    #[default]
    NoAug,
    /// With a probability that stays.
    Fixed {
        /// The probability.
        p: f64,
        /// What happens.
        pipe: Box<AugmentConfig>,
    },
    /// With a probability that follows the discriminator.
    Ada {
        /// The probability to begin with.
        p: f64,
        /// How it follows.
        ada: AdaConfig,
        /// What happens.
        pipe: Box<AugmentConfig>,
    },
}

impl Augmentation {
    /// The pipeline and who says its probability, where there is one.
    ///
    /// # Errors
    ///
    /// A number out of range.
    pub(super) fn made(&self) -> Result<Option<(Augment, Ada)>> {
        let (pipe, config, p) = match self {
            Self::NoAug => return Ok(None),
            Self::Fixed { p, pipe } => {
                let still = AdaConfig {
                    target: None,
                    ..AdaConfig::default()
                };
                (pipe, still, *p)
            }
            Self::Ada { p, ada, pipe } => (pipe, *ada, *p),
        };
        Ok(Some((
            Augment::new((**pipe).clone())?,
            Ada::new(config, p)?,
        )))
    }
}

/// Settings by name. The table is at the top of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// By the pictures' size.
    Auto,
    /// The original StyleGAN2, config F.
    StyleGan2,
    /// FFHQ at 256².
    Paper256,
    /// At 512².
    Paper512,
    /// FFHQ at 1024².
    Paper1024,
    /// CIFAR-10 at 32².
    Cifar,
    /// The portrait world at 64².
    Portraits,
}

impl Preset {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("auto", Self::Auto),
        ("stylegan2", Self::StyleGan2),
        ("paper256", Self::Paper256),
        ("paper512", Self::Paper512),
        ("paper1024", Self::Paper1024),
        ("cifar", Self::Cifar),
        ("portraits", Self::Portraits),
    ];
}

impl std::str::FromStr for Preset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, preset)| *preset).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            Error::config("preset", text, names.join(", "))
        })
    }
}

/// Numbers of the table: batch, mbstd, base, lr, gamma, ema kimg, ramp, layers.
type Row = (usize, usize, usize, f64, f64, f64, Option<f64>, usize);

impl Config {
    /// The settings of a preset for coloured pictures of this size.
    #[must_use]
    pub fn preset(preset: Preset, resolution: usize, label_dim: usize) -> Self {
        let heuristic = |batch: usize| 0.0002 * (resolution * resolution) as f64 / batch as f64;
        let (batch, mbstd_group, base, lr, gamma, ema, ramp_up, map_layers): Row = match preset {
            Preset::StyleGan2 => (32, 4, 32_768, 0.002, 10.0, 10.0, None, 8),
            Preset::Paper256 => (64, 8, 16_384, 0.0025, 1.0, 20.0, None, 8),
            Preset::Paper512 => (64, 8, 32_768, 0.0025, 0.5, 20.0, None, 8),
            Preset::Paper1024 => (32, 4, 32_768, 0.002, 2.0, 10.0, None, 8),
            Preset::Cifar => (64, 32, 32_768, 0.0025, 0.01, 500.0, Some(0.05), 2),
            Preset::Portraits => {
                let gamma = heuristic(16).max(0.05);
                (16, 4, 1536, 0.0025, gamma, 5.0, Some(0.05), 2)
            }
            Preset::Auto => {
                // One worker: the published rule for one GPU.
                let batch = (4096 / resolution.max(1)).clamp(1, 32);
                let base = if resolution >= 512 { 32_768 } else { 16_384 };
                let lr = if resolution >= 1024 { 0.002 } else { 0.0025 };
                let ema = batch as f64 * 10.0 / 32.0;
                (
                    batch,
                    batch.min(4),
                    base,
                    lr,
                    heuristic(batch),
                    ema,
                    Some(0.05),
                    2,
                )
            }
        };
        let cifar = preset == Preset::Cifar;
        Self {
            resolution,
            channels: colours(),
            label_dim,
            z_dim: 512,
            w_dim: 512,
            map_layers,
            map_lr_multiplier: slow_mapping(),
            channel_base: base,
            // Narrow: two cores must be able to train it.
            channel_max: if preset == Preset::Portraits {
                256
            } else {
                512
            },
            discriminator: if cifar {
                Architecture::Orig
            } else {
                Architecture::Resnet
            },
            mbstd_group,
            batch,
            micro_batch: batch,
            lr,
            gamma,
            r1_interval: 16,
            path_length: Some(PathLengthConfig {
                weight: if cifar { 0.0 } else { 2.0 },
                ..PathLengthConfig::default()
            }),
            path_length_interval: 4,
            style_mixing: if cifar { 0.0 } else { 0.9 },
            ema: EmaConfig { kimg: ema, ramp_up },
            augment: Augmentation::NoAug,
            freeze_d: 0,
            imitation: None,
            networks: None,
        }
    }

    /// The generator that is trained.
    ///
    /// # Errors
    ///
    /// A number out of range.
    pub fn generator(&self) -> Result<GeneratorConfig> {
        if let Some(networks) = &self.networks {
            networks.generator.validate()?;
            return Ok(networks.generator.clone());
        }
        let mut config = GeneratorConfig::with_defaults(
            self.z_dim,
            self.w_dim,
            self.resolution,
            self.channel_base,
            self.channel_max,
        )?;
        config.mapping = MappingConfig {
            num_layers: self.map_layers,
            lr_multiplier: self.map_lr_multiplier,
            ..MappingConfig::new(self.z_dim, self.label_dim, self.w_dim)
        };
        config.synthesis.img_channels = self.channels;
        config.validate()?;
        Ok(config)
    }

    /// The discriminator that is trained.
    ///
    /// # Errors
    ///
    /// A number out of range.
    pub fn discriminator(&self) -> Result<DiscriminatorConfig> {
        if let Some(networks) = &self.networks {
            networks.discriminator.validate()?;
            return Ok(networks.discriminator.clone());
        }
        let channels = config::channels(self.resolution, self.channel_base, self.channel_max)?;
        let top = channels[&4];
        let mut config = DiscriminatorConfig::new(self.resolution, self.channels, channels);
        config.architecture = self.discriminator;
        config.mbstd_group_size = Some(self.mbstd_group);
        if self.label_dim > 0 {
            config.mapping = Some(DiscriminatorConfig::label_mapping(self.label_dim, top));
        }
        config.validate()?;
        Ok(config)
    }

    /// The optimizer's settings, before they are corrected for lazy regularisation.
    #[must_use]
    pub fn adam(&self) -> AdamConfig {
        AdamConfig {
            lr: self.lr,
            beta1: 0.0,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }

    /// Pictures of a pass with which every one of so many ranks has a pass, if there can be such: whole groups of those that the
    /// discriminator compares.
    #[must_use]
    pub fn micro_batch_of(&self, ranks: usize) -> usize {
        let share = self.batch / ranks.max(1);
        let group = self.mbstd_group.clamp(1, share.max(1));
        (share - share % group).max(1)
    }

    /// Whether so many ranks can share a step.
    ///
    /// # Errors
    ///
    /// Fewer passes than ranks.
    pub fn check_ranks(&self, ranks: usize) -> Result<()> {
        let passes = self.passes().len();
        if passes >= ranks {
            return Ok(());
        }
        let found = format!(
            "{passes} (batch {} in passes of {})",
            self.batch, self.micro_batch
        );
        let expected = format!(
            "{ranks} or more, one for each rank: take fewer ranks, a larger batch or a smaller micro batch"
        );
        Err(Error::config("passes of a step", found, expected))
    }

    /// Pictures of the passes that make up a step.
    pub(super) fn passes(&self) -> Vec<usize> {
        accumulate::passes(self.batch, self.micro_batch)
    }

    /// Checks the numbers that the networks do not check themselves.
    ///
    /// # Errors
    ///
    /// The first number that is out of range.
    pub fn validate(&self) -> Result<()> {
        let positive = |what: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                return Ok(());
            }
            Err(Error::config(what, value, "a positive number"))
        };
        positive("learning rate", self.lr)?;
        if !(self.gamma.is_finite() && self.gamma >= 0.0) {
            return Err(Error::config("gamma", self.gamma, "0 or a positive number"));
        }
        if !(0.0..=1.0).contains(&self.style_mixing) {
            return Err(Error::config(
                "style mixing probability",
                self.style_mixing,
                "0 to 1",
            ));
        }
        if ![1, 3].contains(&self.channels) {
            return Err(Error::config("channels", self.channels, "1 (grey) or 3"));
        }
        if !(1..=1 << 16).contains(&self.batch) {
            return Err(Error::config("batch", self.batch, "1 to 65536"));
        }
        if !(1..=self.batch).contains(&self.micro_batch) {
            let expected = format!("1 to the batch, which is {}", self.batch);
            return Err(Error::config("micro batch", self.micro_batch, expected));
        }
        if self.mbstd_group == 0 {
            return Err(Error::config("minibatch group", 0, "1 or more"));
        }
        for pass in self.passes() {
            let group = self.mbstd_group.min(pass);
            if pass % group != 0 {
                let what = "pictures in one pass";
                let expected = format!("a multiple of the minibatch group of {group}");
                return Err(Error::config(what, pass, expected));
            }
        }
        for (what, interval) in [
            ("R1 interval", self.r1_interval),
            ("path length interval", self.path_length_interval),
        ] {
            if interval == 0 {
                return Err(Error::config(what, 0, "1 step or more"));
            }
        }
        if let Some(config) = &self.path_length {
            config.validate()?;
        }
        if let Some(imitation) = &self.imitation {
            imitation.validate(self)?;
            if self.label_dim > 0 {
                let what = "size of the labels beside imitation";
                return Err(Error::config(what, self.label_dim, "0"));
            }
            if self.channels != colours() {
                return Err(Error::config(
                    "channels beside imitation",
                    self.channels,
                    "3",
                ));
            }
        }
        self.augment.made()?;
        self.generator()?;
        self.discriminator()?;
        self.networks
            .as_ref()
            .map_or(Ok(()), |networks| networks.check(self))
    }
}

/// Channels of a coloured picture.
fn colours() -> usize {
    3
}

/// The published one.
fn slow_mapping() -> f64 {
    0.01
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_the_published_numbers() {
        for (name, preset) in Preset::ALL {
            assert_eq!(name.parse::<Preset>().unwrap(), preset);
            let resolution = if preset == Preset::Cifar { 32 } else { 256 };
            Config::preset(preset, resolution, 0).validate().unwrap();
        }
        assert!("nonsense".parse::<Preset>().is_err());
        // `--cfg=auto --gpus=1` at 256²: minibatch 16, gamma 0.8192, half-life 5 kimg.
        let auto = Config::preset(Preset::Auto, 256, 0);
        assert_eq!((auto.batch, auto.mbstd_group), (16, 4));
        assert!((auto.gamma - 0.8192).abs() < 1e-9);
        assert_eq!(auto.ema.kimg, 5.0);
        assert_eq!(Config::preset(Preset::Auto, 32, 0).batch, 32);
        assert_eq!(Config::preset(Preset::Auto, 2048, 0).mbstd_group, 2);
        let cifar = Config::preset(Preset::Cifar, 32, 10);
        assert_eq!(cifar.channel_base, 32_768);
        let discriminator = cifar.discriminator().unwrap();
        assert_eq!(discriminator.c_dim(), 10);
        // `mapping_kwargs.num_layers` is the generator's alone.
        assert_eq!(discriminator.mapping.unwrap().num_layers, 8);
        assert_eq!(cifar.generator().unwrap().mapping.num_layers, 2);
        // Both optimizers are corrected for their intervals, `pl_weight` or not.
        let adam = super::super::networks::generator_adam(&cifar).unwrap();
        assert!((adam.lr - 0.002).abs() < 1e-12, "{}", adam.lr);
    }

    #[test]
    fn grey_pictures_make_networks_of_one_channel() {
        let mut config = Config::preset(Preset::Auto, 32, 0);
        config.channels = 1;
        config.validate().unwrap();
        assert_eq!(config.generator().unwrap().synthesis.img_channels, 1);
        assert_eq!(config.discriminator().unwrap().img_channels, 1);
    }

    #[test]
    fn bad_numbers_are_named() {
        let good = Config::preset(Preset::Portraits, 64, 0);
        let says = |change: &dyn Fn(&mut Config), part: &str| {
            let mut config = good.clone();
            change(&mut config);
            let text = config.validate().unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        };
        says(&|c| c.lr = 0.0, "learning rate");
        says(&|c| c.gamma = f64::NAN, "gamma");
        says(&|c| c.micro_batch = 17, "micro batch");
        says(&|c| c.micro_batch = 6, "minibatch group");
        says(&|c| c.resolution = 48, "48");
        says(&|c| c.style_mixing = 1.5, "mixing");
        says(&|c| c.batch = 0, "batch");
        says(&|c| c.channels = 2, "channels");
    }
}

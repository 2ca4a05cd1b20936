//! Settings for going on from a trained model.
//!
//! A model has its own numbers of features, its clamp, its labels: the networks of the training are then described by the
//! model and not by the settings' numbers. What the model lacks (a discriminator) follows from its generator.

use domex_stylegan2::{DiscriminatorConfig, GeneratorConfig, Model};
use serde::{Deserialize, Serialize};

use super::Config;
use crate::{Error, Result};

/// Both networks of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfigs {
    /// The generator.
    pub generator: GeneratorConfig,
    /// The discriminator.
    pub discriminator: DiscriminatorConfig,
}

impl Config {
    /// The same settings with the networks of `model`.
    ///
    /// # Errors
    ///
    /// The model makes pictures of another size or with other labels than the settings have, or grey ones for a set in
    /// colour. A model in colour takes a grey set: its pictures are three equal channels then.
    pub fn with_networks_of(mut self, model: &Model) -> Result<Self> {
        // Single precision throughout: gradients of gradients need the range.
        let mut generator = model.config().clone();
        generator.synthesis.num_fp16_res = 0;
        let discriminator = match &model.discriminator {
            Some(known) => DiscriminatorConfig {
                num_fp16_res: 0,
                ..known.config().clone()
            },
            None => self.discriminator_beside(&generator),
        };
        if generator.synthesis.img_channels == 3 {
            self.channels = 3;
        }
        self.z_dim = generator.z_dim();
        self.w_dim = generator.w_dim();
        self.map_layers = generator.mapping.num_layers;
        self.discriminator = discriminator.architecture;
        // Without a number the whole batch is one group.
        self.mbstd_group = discriminator.mbstd_group_size.unwrap_or(self.batch);
        let networks = NetworkConfigs {
            generator,
            discriminator,
        };
        networks.check(&self)?;
        self.networks = Some(Box::new(networks));
        Ok(self)
    }

    /// A discriminator with the features of a generator.
    fn discriminator_beside(&self, generator: &GeneratorConfig) -> DiscriminatorConfig {
        let channels = generator.synthesis.channels.clone();
        let top = channels.get(&4).copied().unwrap_or(self.channel_max);
        let mut config = DiscriminatorConfig::new(
            generator.synthesis.img_resolution,
            generator.synthesis.img_channels,
            channels,
        );
        config.conv_clamp = generator.synthesis.conv_clamp;
        config.mbstd_group_size = Some(self.mbstd_group);
        if generator.c_dim() > 0 {
            config.mapping = Some(DiscriminatorConfig::label_mapping(generator.c_dim(), top));
        }
        config
    }
}

impl NetworkConfigs {
    /// Whether the networks fit the pictures, their labels and each other.
    pub(super) fn check(&self, config: &Config) -> Result<()> {
        let (g, d) = (&self.generator, &self.discriminator);
        for (what, found, expected) in [
            (
                "size of the model's pictures",
                g.synthesis.img_resolution,
                config.resolution,
            ),
            (
                "channels of the model's pictures",
                g.synthesis.img_channels,
                config.channels,
            ),
            ("size of the model's labels", g.c_dim(), config.label_dim),
            (
                "size of the discriminator's pictures",
                d.img_resolution,
                config.resolution,
            ),
            (
                "channels of the discriminator's pictures",
                d.img_channels,
                config.channels,
            ),
            (
                "size of the discriminator's labels",
                d.c_dim(),
                config.label_dim,
            ),
        ] {
            if found != expected {
                let expected = format!("{expected}, as the data set has");
                return Err(Error::config(what, found, expected));
            }
        }
        Ok(())
    }
}

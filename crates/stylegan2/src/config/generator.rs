//! Hyper-parameters of the generator.

use std::collections::BTreeMap;

use domex_ops::Activation;
use serde::{Deserialize, Serialize};

use super::check::{MAX_FEATURES, clamp, filter, is_half, picture, size};
use super::{
    Architecture, Demodulation, MappingConfig, activation, channel_table, channels, features,
    resolutions,
};
use crate::{Error, Result};

/// The synthesis network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SynthesisConfig {
    /// Size of one row of the latent.
    pub w_dim: usize,
    /// Width and height of the picture: a power of two, at least 4.
    pub img_resolution: usize,
    /// Channels of the picture.
    pub img_channels: usize,
    /// Features of each block by resolution: 4, 8, ... `img_resolution`.
    pub channels: BTreeMap<usize, usize>,
    /// How features become a picture.
    pub architecture: Architecture,
    /// Taps of the resampling filter before normalisation; one row of a separable filter.
    pub resample_filter: Vec<f64>,
    /// Limit of every convolution's output, `None` for none.
    pub conv_clamp: Option<f64>,
    /// Whether the layers add noise.
    pub use_noise: bool,
    /// How many of the highest resolutions run in float16 on a device that supports it.
    pub num_fp16_res: usize,
    /// Follows every convolution but those to RGB.
    #[serde(with = "activation")]
    pub activation: Activation,
    /// Where the demodulation's epsilon stands.
    #[serde(default)]
    pub demodulation: Demodulation,
}

impl SynthesisConfig {
    /// The published defaults for a resolution: skip architecture, `[1, 3, 3, 1]` filter, noise.
    pub fn new(
        w_dim: usize,
        img_resolution: usize,
        img_channels: usize,
        channels: BTreeMap<usize, usize>,
    ) -> Self {
        Self {
            w_dim,
            img_resolution,
            img_channels,
            channels,
            architecture: Architecture::Skip,
            resample_filter: vec![1.0, 3.0, 3.0, 1.0],
            conv_clamp: None,
            use_noise: true,
            num_fp16_res: 0,
            activation: Activation::Lrelu,
            demodulation: Demodulation::Raw,
        }
    }

    /// Resolutions of the blocks: 4, 8, ... `img_resolution`.
    pub fn resolutions(&self) -> Vec<usize> {
        resolutions(self.img_resolution)
    }

    /// Rows of a W+ latent: `2 log2(resolution) - 2`.
    pub fn num_ws(&self) -> usize {
        2 * self.resolutions().len()
    }

    /// Numbers of the largest layer's features.
    pub fn widest(&self) -> usize {
        let features = |(resolution, channels): (&usize, &usize)| channels * resolution.pow(2);
        self.channels.iter().map(features).max().unwrap_or(0)
    }

    /// Features of the block at a resolution.
    pub(crate) fn features(&self, resolution: usize) -> Result<usize> {
        features(&self.channels, resolution)
    }

    /// Whether the block at a resolution is one of those that may run in float16.
    pub(crate) fn is_half(&self, resolution: usize) -> bool {
        is_half(self.img_resolution, self.num_fp16_res, resolution)
    }

    fn validate(&self) -> Result<()> {
        size("synthesis.w_dim", self.w_dim, 1, MAX_FEATURES)?;
        picture(self.img_resolution, self.img_channels, &self.channels)?;
        filter(&self.resample_filter)?;
        clamp(self.conv_clamp)
    }
}

/// The whole generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// z and label to w.
    pub mapping: MappingConfig,
    /// w to a picture.
    pub synthesis: SynthesisConfig,
}

impl GeneratorConfig {
    /// A generator with the published defaults and `min(base / resolution, max)` features.
    ///
    /// # Errors
    ///
    /// A resolution that is no power of two from 4 to 4096.
    pub fn with_defaults(
        z_dim: usize,
        w_dim: usize,
        img_resolution: usize,
        channel_base: usize,
        channel_max: usize,
    ) -> Result<Self> {
        let channels = channels(img_resolution, channel_base, channel_max)?;
        Ok(Self {
            mapping: MappingConfig::new(z_dim, 0, w_dim),
            synthesis: SynthesisConfig::new(w_dim, img_resolution, 3, channels),
        })
    }

    /// A network that draws a 64² picture in milliseconds: for tests and first steps, with
    /// [random weights](crate::Model::random).
    pub fn tiny() -> Self {
        let channels = channel_table(64, 1024, 32);
        let mut mapping = MappingConfig::new(64, 0, 64);
        mapping.num_layers = 4;
        Self {
            mapping,
            synthesis: SynthesisConfig::new(64, 64, 3, channels),
        }
    }

    /// Size of z.
    pub fn z_dim(&self) -> usize {
        self.mapping.z_dim
    }

    /// Size of the label, 0 for a network without classes.
    pub fn c_dim(&self) -> usize {
        self.mapping.c_dim
    }

    /// Size of w.
    pub fn w_dim(&self) -> usize {
        self.mapping.w_dim
    }

    /// Rows of a W+ latent.
    pub fn num_ws(&self) -> usize {
        self.synthesis.num_ws()
    }

    /// Checks every number, so that building the network allocates no more than it should.
    ///
    /// # Errors
    ///
    /// The first field that is out of range, with what is allowed.
    pub fn validate(&self) -> Result<()> {
        self.mapping.validate()?;
        self.synthesis.validate()?;
        if self.mapping.w_dim == self.synthesis.w_dim {
            return Ok(());
        }
        Err(Error::config(
            "synthesis.w_dim",
            self.synthesis.w_dim,
            format!("mapping.w_dim, which is {}", self.mapping.w_dim),
        ))
    }
}

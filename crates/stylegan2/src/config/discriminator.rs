//! Hyper-parameters of the discriminator.

use std::collections::BTreeMap;

use domex_ops::Activation;
use serde::{Deserialize, Serialize};

use super::check::{MAX_CLASSES, MAX_FEATURES, clamp, filter, is_half, picture, size};
use super::{Architecture, MappingConfig, activation, features};
use crate::{Error, Result};

/// The discriminator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// Width and height of the picture: a power of two, at least 4.
    pub img_resolution: usize,
    /// Channels of the picture.
    pub img_channels: usize,
    /// Features of each block by resolution: 4, 8, ... `img_resolution`.
    pub channels: BTreeMap<usize, usize>,
    /// How the picture becomes features.
    pub architecture: Architecture,
    /// Taps of the resampling filter before normalisation.
    pub resample_filter: Vec<f64>,
    /// Limit of every convolution's output, `None` for none.
    pub conv_clamp: Option<f64>,
    /// How many of the highest resolutions run in float16 on a device that supports it.
    pub num_fp16_res: usize,
    /// Follows every layer but the last.
    #[serde(with = "activation")]
    pub activation: Activation,
    /// Samples per group of the minibatch standard deviation, `None` for the whole batch.
    pub mbstd_group_size: Option<usize>,
    /// Channels that the minibatch standard deviation appends, 0 for none.
    pub mbstd_num_channels: usize,
    /// Label to projection; its `w_dim` is the size of the projection (`cmap_dim`).
    pub mapping: Option<MappingConfig>,
}

impl DiscriminatorConfig {
    /// The published defaults: resnet, groups of four, one statistics channel, no labels.
    pub fn new(
        img_resolution: usize,
        img_channels: usize,
        channels: BTreeMap<usize, usize>,
    ) -> Self {
        Self {
            img_resolution,
            img_channels,
            channels,
            architecture: Architecture::Resnet,
            resample_filter: vec![1.0, 3.0, 3.0, 1.0],
            conv_clamp: None,
            num_fp16_res: 0,
            activation: Activation::Lrelu,
            mbstd_group_size: Some(4),
            mbstd_num_channels: 1,
            mapping: None,
        }
    }

    /// The mapping network of a conditional discriminator: no z, no running mean.
    pub fn label_mapping(c_dim: usize, cmap_dim: usize) -> MappingConfig {
        MappingConfig {
            w_avg_beta: None,
            ..MappingConfig::new(0, c_dim, cmap_dim)
        }
    }

    /// Size of the label, 0 for a network without classes.
    pub fn c_dim(&self) -> usize {
        self.mapping.as_ref().map_or(0, |mapping| mapping.c_dim)
    }

    /// Size of the label's projection, 0 for a network without classes.
    pub fn cmap_dim(&self) -> usize {
        self.mapping.as_ref().map_or(0, |mapping| mapping.w_dim)
    }

    /// Features of the block at a resolution.
    pub(crate) fn features(&self, resolution: usize) -> Result<usize> {
        features(&self.channels, resolution)
    }

    /// Whether the block at a resolution is one of those that may run in float16.
    pub(crate) fn is_half(&self, resolution: usize) -> bool {
        is_half(self.img_resolution, self.num_fp16_res, resolution)
    }

    /// Checks every number, so that building the network allocates no more than it should.
    ///
    /// # Errors
    ///
    /// The first field that is out of range, with what is allowed.
    pub fn validate(&self) -> Result<()> {
        picture(self.img_resolution, self.img_channels, &self.channels)?;
        filter(&self.resample_filter)?;
        clamp(self.conv_clamp)?;
        size(
            "mbstd_num_channels",
            self.mbstd_num_channels,
            0,
            MAX_FEATURES,
        )?;
        if self.mbstd_group_size == Some(0) {
            return Err(Error::config("mbstd_group_size", 0, "at least 1, or null"));
        }
        match &self.mapping {
            None => Ok(()),
            Some(mapping) => {
                mapping.validate()?;
                size("mapping.z_dim of a discriminator", mapping.z_dim, 0, 0)?;
                size(
                    "mapping.c_dim of a discriminator",
                    mapping.c_dim,
                    1,
                    MAX_CLASSES,
                )
            }
        }
    }
}

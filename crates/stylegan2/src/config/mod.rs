//! Hyper-parameters of the networks.
//!
//! A checkpoint's tensors fix almost all of them ([`GeneratorConfig::deduce`]); those that leave no trace in a shape (learning rate multiplier,
//! clamp, activation, group size of the minibatch statistics) have the published defaults.
//! [`kwargs`](crate::kwargs) reads the published keyword arguments.

mod check;
mod discriminator;
mod generator;
mod mapping;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use discriminator::DiscriminatorConfig;
pub use generator::{GeneratorConfig, SynthesisConfig};
pub use mapping::MappingConfig;

use crate::{Error, Result};

/// How features become a picture, and a picture features (figure 7 of arXiv 1912.04958).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Plain chain of convolutions; the last block makes the picture.
    Orig,
    /// Every block adds its share to a picture that is upsampled from block to block.
    Skip,
    /// A 1×1 convolution around each block; the last block makes the picture.
    Resnet,
}

impl std::str::FromStr for Architecture {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "orig" => Ok(Self::Orig),
            "skip" => Ok(Self::Skip),
            "resnet" => Ok(Self::Resnet),
            other => Err(Error::config(
                "architecture",
                format!("{other:?}"),
                "orig, skip or resnet",
            )),
        }
    }
}

/// Where the 1e-8 of the demodulation is added to the sum of squares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demodulation {
    /// To the sum over raw weights (stylegan2-ada-pytorch).
    #[default]
    Raw,
    /// To the sum over weights scaled by `1/sqrt(fan-in)` (the original TensorFlow code, and
    /// rosinality's port).
    FanIn,
}

/// Features per resolution by the published rule `min(base / resolution, max)`.
///
/// # Errors
///
/// A resolution that is no power of two from 4 to 4096.
pub fn channels(
    img_resolution: usize,
    channel_base: usize,
    channel_max: usize,
) -> Result<BTreeMap<usize, usize>> {
    check::check_resolution(img_resolution)?;
    Ok(channel_table(img_resolution, channel_base, channel_max))
}

fn channel_table(img_resolution: usize, base: usize, max: usize) -> BTreeMap<usize, usize> {
    resolutions(img_resolution)
        .into_iter()
        .map(|resolution| (resolution, (base / resolution).min(max)))
        .collect()
}

/// 4, 8, ... up to the picture's resolution.
pub(crate) fn resolutions(img_resolution: usize) -> Vec<usize> {
    std::iter::successors(Some(4), |resolution: &usize| resolution.checked_mul(2))
        .take_while(|resolution| *resolution <= img_resolution)
        .collect()
}

fn features(channels: &BTreeMap<usize, usize>, resolution: usize) -> Result<usize> {
    channels.get(&resolution).copied().ok_or_else(|| {
        Error::config(
            "channels",
            format!("no entry for resolution {resolution}"),
            "one entry per block",
        )
    })
}

/// An activation as its published name.
mod activation {
    use domex_ops::Activation;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(act: &Activation, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(act)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Activation, D::Error> {
        let name = String::deserialize(input)?;
        name.parse().map_err(D::Error::custom)
    }
}

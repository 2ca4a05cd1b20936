//! The published layouts of StyleGAN2 checkpoints: which names the tensors of a network have, and
//! how its kernels lie.
//!
//! Ours is that of stylegan2-ada-pytorch (`synthesis.b4.conv1.weight`). [`generator`] and
//! [`discriminator`] recognise a layout by its names and bring the tensors into ours;
//! [`rosinality`] also goes back. The conversions only rename, reshape, transpose and flip (and
//! add the 1 that TensorFlow keeps outside the style bias), so weights come through bit by bit.
//! Buffers that a layout leaves out (`resample_filter`) are added.

mod lost;
pub mod rosinality;
mod table;
pub mod tensorflow;

use std::collections::BTreeMap;

use domex_checkpoint::TensorData;

pub use lost::lost;

use crate::{Demodulation, Result};

/// Tensors by name.
pub type Weights = BTreeMap<String, TensorData>;

/// A naming scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// NVlabs/stylegan2-ada-pytorch, and stylegan3's StyleGAN2.
    Nvlabs,
    /// rosinality/stylegan2-pytorch.
    Rosinality,
    /// The original NVlabs/stylegan2: variables as `component/scope/name`.
    TensorFlow,
}

impl Layout {
    /// How the programs that use this layout demodulate: the one difference in arithmetic.
    pub fn demodulation(self) -> Demodulation {
        match self {
            Self::Nvlabs => Demodulation::Raw,
            Self::Rosinality | Self::TensorFlow => Demodulation::FanIn,
        }
    }

    /// The layout of a generator's tensors, by a name that only it has.
    pub fn of_generator(tensors: &Weights) -> Option<Self> {
        let has = |name: &str| tensors.contains_key(name);
        if tensors.keys().any(|name| name.starts_with("synthesis.")) {
            Some(Self::Nvlabs)
        } else if has("input.input") {
            Some(Self::Rosinality)
        } else if has("synthesis/4x4/Const/const") {
            Some(Self::TensorFlow)
        } else {
            None
        }
    }

    /// The layout of a discriminator's tensors, by a name that only it has.
    pub fn of_discriminator(tensors: &Weights) -> Option<Self> {
        let has = |name: &str| tensors.contains_key(name);
        if tensors.keys().any(|name| name.starts_with("b4.")) {
            Some(Self::Nvlabs)
        } else if has("final_linear.0.weight") {
            Some(Self::Rosinality)
        } else if has("4x4/Dense0/weight") {
            Some(Self::TensorFlow)
        } else {
            None
        }
    }
}

/// A generator in any layout, under our names; `None` where the layout is not known.
///
/// `mean` is a mean of w that stands beside the network in the file, `[1, w_dim]` or `[w_dim]`.
///
/// # Errors
/// [`Error::Names`](crate::Error::Names) for missing or unknown tensors,
/// [`Error::Shape`](crate::Error::Shape) for one of the wrong rank.
pub fn generator(
    tensors: &Weights,
    mean: Option<&TensorData>,
) -> Result<Option<(Weights, Layout)>> {
    let Some(layout) = Layout::of_generator(tensors) else {
        return Ok(None);
    };
    let ours = match layout {
        Layout::Nvlabs => tensors.clone(),
        Layout::Rosinality => rosinality::generator_to_nvlabs(tensors, mean)?,
        Layout::TensorFlow => tensorflow::generator_to_nvlabs(tensors)?,
    };
    Ok(Some((ours, layout)))
}

/// A discriminator in any layout, under our names; `None` where the layout is not known.
///
/// # Errors
/// Those of [`generator`].
pub fn discriminator(tensors: &Weights) -> Result<Option<(Weights, Layout)>> {
    let Some(layout) = Layout::of_discriminator(tensors) else {
        return Ok(None);
    };
    let ours = match layout {
        Layout::Nvlabs => tensors.clone(),
        Layout::Rosinality => rosinality::discriminator_to_nvlabs(tensors)?,
        Layout::TensorFlow => tensorflow::discriminator_to_nvlabs(tensors)?,
    };
    Ok(Some((ours, layout)))
}

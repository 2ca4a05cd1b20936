//! Hyper-parameters of a mapping network.

use domex_ops::Activation;
use serde::{Deserialize, Serialize};

use super::activation;
use super::check::{MAX_CLASSES, MAX_FEATURES, positive, size};
use crate::mapping::W_AVG_BETA;
use crate::{Error, Result};

/// The mapping network. The discriminator uses one too, with `z_dim` 0, for its labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingConfig {
    /// Size of the noise input, 0 for none.
    pub z_dim: usize,
    /// Size of the label, 0 for none.
    pub c_dim: usize,
    /// Size of the output.
    pub w_dim: usize,
    /// Number of fully connected layers.
    pub num_layers: usize,
    /// Size of the embedded label, 0 where there is none.
    pub embed_features: usize,
    /// Width of the layers between the first and the last.
    pub layer_features: usize,
    /// Weights and biases are scaled by it at run time.
    pub lr_multiplier: f64,
    /// Follows every layer.
    #[serde(with = "activation")]
    pub activation: Activation,
    /// Decay of the running mean of w; `None` where no mean is tracked.
    pub w_avg_beta: Option<f64>,
}

impl MappingConfig {
    /// The published defaults: eight layers of width `w_dim`, learning rate multiplier 0.01.
    pub fn new(z_dim: usize, c_dim: usize, w_dim: usize) -> Self {
        Self {
            z_dim,
            c_dim,
            w_dim,
            num_layers: 8,
            embed_features: if c_dim > 0 { w_dim } else { 0 },
            layer_features: w_dim,
            lr_multiplier: 0.01,
            activation: Activation::Lrelu,
            w_avg_beta: Some(W_AVG_BETA),
        }
    }

    /// Input and output size of each fully connected layer.
    pub fn layer_sizes(&self) -> Vec<(usize, usize)> {
        (0..self.num_layers)
            .map(|layer| {
                let input = if layer == 0 {
                    self.z_dim + self.embed_features
                } else {
                    self.layer_features
                };
                let output = if layer + 1 == self.num_layers {
                    self.w_dim
                } else {
                    self.layer_features
                };
                (input, output)
            })
            .collect()
    }

    /// Checks every number.
    ///
    /// # Errors
    ///
    /// The first field that is out of range, with what is allowed.
    pub fn validate(&self) -> Result<()> {
        // With no z and no layers w is the embedded label, as in some TensorFlow discriminators.
        let label_only = self.z_dim == 0 && self.embed_features == self.w_dim;
        size(
            "mapping.num_layers",
            self.num_layers,
            usize::from(!label_only),
            64,
        )?;
        size("mapping.w_dim", self.w_dim, 1, MAX_FEATURES)?;
        size(
            "mapping.layer_features",
            self.layer_features,
            1,
            MAX_FEATURES,
        )?;
        size("mapping.z_dim", self.z_dim, 0, MAX_FEATURES)?;
        size("mapping.c_dim", self.c_dim, 0, MAX_CLASSES)?;
        size(
            "mapping.embed_features",
            self.embed_features,
            usize::from(self.c_dim > 0),
            if self.c_dim > 0 { MAX_FEATURES } else { 0 },
        )?;
        size(
            "mapping.z_dim + c_dim",
            self.z_dim + self.c_dim,
            1,
            usize::MAX,
        )?;
        positive("mapping.lr_multiplier", self.lr_multiplier)?;
        match self.w_avg_beta {
            Some(beta) if !(0.0..=1.0).contains(&beta) => {
                Err(Error::config("mapping.w_avg_beta", beta, "0 to 1"))
            }
            _ => Ok(()),
        }
    }
}

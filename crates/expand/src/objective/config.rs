//! Weights of the objective's terms.

use domex_replay::AlignmentConfig;

use crate::{Error, Result};

/// Weights of the terms. The published ones are the default.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveConfig {
    /// Of what the methods ask.
    pub expand: f64,
    /// Of replay alignment.
    pub alignment: AlignmentConfig,
    /// Of the perceptual distance between the pictures of one domain.
    pub diversity: f64,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            expand: 1.0,
            alignment: AlignmentConfig::default(),
            diversity: 0.0,
        }
    }
}

impl ObjectiveConfig {
    /// # Errors
    ///
    /// A weight that is negative or not finite.
    pub fn validate(&self) -> Result<()> {
        let weights = [("expand", self.expand), ("diversity", self.diversity)];
        for (name, weight) in weights {
            if !(weight.is_finite() && weight >= 0.0) {
                let what = format!("weight of `{name}`");
                return Err(Error::setting(what, weight, "0 or more"));
            }
        }
        Ok(self.alignment.validate()?)
    }
}

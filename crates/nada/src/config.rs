//! What is asked of an edit, and how much.

use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::patches::Patches;
use crate::{Error, Result};

/// A factor for each term; a term of factor 0 costs nothing. As published, the directional one alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// [`along`](crate::direction::along).
    pub direction: f64,
    /// [`global`](crate::terms::global).
    pub global: f64,
    /// [`patch_direction`](crate::terms::patch_direction).
    pub patch: f64,
    /// [`angle`](crate::terms::angle).
    pub manifold: f64,
    /// [`texture`](crate::terms::texture), for tasks that have a texture.
    pub texture: f64,
    /// [`in_domain_angle`](crate::pairs::in_domain_angle), over pairs of one task.
    pub in_domain: f64,
    /// [`target_direction`](crate::pairs::target_direction), over pairs of two tasks.
    pub target_direction: f64,
    /// [`contrastive`](crate::terms::contrastive), among all tasks that a network looks at.
    pub contrastive: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            direction: 1.0,
            global: 0.0,
            patch: 0.0,
            manifold: 0.0,
            texture: 0.0,
            in_domain: 0.0,
            target_direction: 0.0,
            contrastive: 0.0,
        }
    }
}

/// All settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Factors of the terms.
    pub weights: Weights,
    /// What the patch term cuts.
    pub patches: Patches,
    /// What happens to both pictures of a pair before anything looks at them.
    pub augment: Augment,
}

impl Config {
    /// Checks every number.
    ///
    /// # Errors
    ///
    /// The first one out of range, or no term at all.
    pub fn validate(&self) -> Result<()> {
        let weights = self.weights.named();
        for (name, weight) in weights {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::config(
                    format!("weights.{name}"),
                    weight,
                    "a number of at least 0",
                ));
            }
        }
        if weights.iter().all(|(_, weight)| *weight == 0.0) {
            return Err(Error::config(
                "every weight",
                0,
                "at least one term with a weight above 0",
            ));
        }
        self.patches.validate()?;
        self.augment.validate()
    }
}

impl Weights {
    fn named(&self) -> [(&'static str, f64); 8] {
        [
            ("direction", self.direction),
            ("global", self.global),
            ("patch", self.patch),
            ("manifold", self.manifold),
            ("texture", self.texture),
            ("in_domain", self.in_domain),
            ("target_direction", self.target_direction),
            ("contrastive", self.contrastive),
        ]
    }
}

//! Lazy regularisation (appendix B of arXiv 1912.04958): a regulariser is computed every k-th step, k times as strong.
//!
//! It then shares its optimizer with the main loss, which takes k + 1 steps where it took k. To keep the pace, with
//! `c = k / (k + 1)`: `lr ← c lr`, `β ← βᶜ`.

use crate::adam::AdamConfig;
use crate::{Error, Result};

/// A regulariser's interval; see the [module docs](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Lazy {
    interval: u64,
}

impl Lazy {
    /// Every `interval`-th step.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for 0.
    pub fn new(interval: u64) -> Result<Self> {
        if interval == 0 {
            return Err(Error::setting(
                "interval of a regulariser",
                0,
                "1 step or more",
            ));
        }
        Ok(Self { interval })
    }

    /// Whether the regulariser is computed in step number `step`, from 0 on.
    pub fn due(self, step: u64) -> bool {
        step.is_multiple_of(self.interval)
    }

    /// Factor of the regulariser's loss.
    pub fn gain(self) -> f64 {
        self.interval as f64
    }

    /// The optimizer's settings, corrected for the additional steps.
    #[must_use]
    pub fn corrected(self, adam: AdamConfig) -> AdamConfig {
        let c = self.gain() / (self.gain() + 1.0);
        AdamConfig {
            lr: adam.lr * c,
            beta1: adam.beta1.powf(c),
            beta2: adam.beta2.powf(c),
            ..adam
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        let lazy = Lazy::new(16).unwrap();
        let adam = AdamConfig {
            lr: 0.0025,
            beta1: 0.0,
            beta2: 0.99,
            ..AdamConfig::default()
        };
        let corrected = lazy.corrected(adam);
        assert!((corrected.lr - 0.0025 * 16.0 / 17.0).abs() < 1e-12);
        assert_eq!(corrected.beta1, 0.0);
        assert!((corrected.beta2 - 0.990_585_7).abs() < 1e-6);
        assert!(lazy.due(0) && !lazy.due(15) && lazy.due(32));
        assert!(Lazy::new(0).is_err());
    }
}

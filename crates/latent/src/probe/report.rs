//! The result of a probe, and its JSON form.

use crate::{Error, Result};

/// When a direction counts as dormant. Serialises as `{"measure": "pixel", "at_most": 0.02}`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "measure", rename_all = "snake_case", deny_unknown_fields)]
pub enum DormantRule {
    /// The pixel effect, in units of `[-1, 1]`, is at most this.
    Pixel {
        /// Threshold.
        at_most: f64,
    },
    /// The perceptual effect is at most this.
    Perceptual {
        /// Threshold.
        at_most: f64,
    },
    /// The pixel effect is at most this part of the largest one measured.
    Relative {
        /// Threshold, between 0 and 1.
        at_most: f64,
    },
}

impl Default for DormantRule {
    /// A pixel effect of 0.02: two and a half of 255 grey levels.
    fn default() -> Self {
        Self::Pixel { at_most: 0.02 }
    }
}

impl DormantRule {
    pub(super) fn check(&self) -> Result<()> {
        let (Self::Pixel { at_most } | Self::Perceptual { at_most } | Self::Relative { at_most }) =
            *self;
        if !(at_most.is_finite() && at_most >= 0.0) {
            return Err(Error::setting(
                "dormant threshold",
                at_most,
                "finite and not negative",
            ));
        }
        Ok(())
    }
}

/// What one direction does to pictures.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DirectionEffect {
    /// Column of the basis.
    pub index: usize,
    /// Its singular value, where the basis has them.
    pub value: Option<f64>,
    /// Pixel effect: root mean square difference in units of `[-1, 1]`.
    pub pixel: f64,
    /// Perceptual effect: mean distance.
    pub perceptual: f64,
    /// Place among the directions measured; 0 is the most dormant.
    pub rank: usize,
    /// Whether it is dormant under the report's rule.
    pub dormant: bool,
}

/// What all probed directions do to pictures.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ProbeReport {
    /// Step to both sides.
    pub step: f64,
    /// Number of latents.
    pub samples: usize,
    /// Name of the perceptual distance.
    pub perceptual: String,
    /// When a direction is dormant.
    pub rule: DormantRule,
    /// One entry per direction, in the order asked for.
    pub directions: Vec<DirectionEffect>,
}

impl ProbeReport {
    /// The directions, the most dormant first.
    #[must_use]
    pub fn ranked(&self) -> Vec<&DirectionEffect> {
        let mut ranked: Vec<_> = self.directions.iter().collect();
        ranked.sort_by_key(|d| d.rank);
        ranked
    }

    /// Columns of the dormant directions, the most dormant first.
    #[must_use]
    pub fn dormant(&self) -> Vec<usize> {
        self.ranked()
            .into_iter()
            .filter(|d| d.dormant)
            .map(|d| d.index)
            .collect()
    }

    /// Sets rank and flag: by perceptual effect, then by pixel effect, then the higher column
    /// first, as in the official order of the basis.
    pub(super) fn rank(&mut self) {
        let largest = self.directions.iter().fold(0.0_f64, |m, d| m.max(d.pixel));
        let mut order: Vec<usize> = (0..self.directions.len()).collect();
        order.sort_by(|&a, &b| {
            let (a, b) = (&self.directions[a], &self.directions[b]);
            let effect = a.perceptual.total_cmp(&b.perceptual);
            effect
                .then(a.pixel.total_cmp(&b.pixel))
                .then(b.index.cmp(&a.index))
        });
        for (rank, i) in order.into_iter().enumerate() {
            let direction = &mut self.directions[i];
            direction.rank = rank;
            direction.dormant = match self.rule {
                DormantRule::Pixel { at_most } => direction.pixel <= at_most,
                DormantRule::Perceptual { at_most } => direction.perceptual <= at_most,
                DormantRule::Relative { at_most } => direction.pixel <= at_most * largest,
            };
        }
    }
}

//! Stops a run early when a measure no longer improves.
//!
//! The measure (lower is better) is looked at each tick. Without an improvement by more than `least` over the best value
//! for `patience` ticks in a row, the run ends.

use serde::{Deserialize, Serialize};

/// When to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauConfig {
    /// Name of the loss or measure that is watched.
    pub measure: String,
    /// Ticks without improvement after which the run ends.
    pub patience: u64,
    /// What counts as an improvement.
    pub least: f64,
}

/// See the [module docs](self).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    config: PlateauConfig,
    best: Option<f64>,
    waited: u64,
}

impl Plateau {
    /// Nothing seen yet.
    pub fn new(config: PlateauConfig) -> Self {
        Self {
            config,
            best: None,
            waited: 0,
        }
    }

    /// The measure that is watched.
    pub fn measure(&self) -> &str {
        &self.config.measure
    }

    /// Notes a tick's value, and returns whether the run has come to a plateau. A value that is not finite is no
    /// improvement.
    #[must_use]
    pub fn note(&mut self, value: f64) -> bool {
        let better = value.is_finite()
            && self
                .best
                .is_none_or(|best| value < best - self.config.least);
        if better {
            self.best = Some(value);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.waited >= self.config.patience.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_runs_out_only_without_improvement() {
        let mut plateau = Plateau::new(PlateauConfig {
            measure: "fid".into(),
            patience: 2,
            least: 0.1,
        });
        let stops: Vec<bool> = [5.0, 4.0, 3.95, 3.8, f64::NAN, 3.79]
            .into_iter()
            .map(|value| plateau.note(value))
            .collect();
        assert_eq!(stops, [false, false, false, false, false, true]);
    }
}

//! Offsets that come in slowly while an encoder is trained.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The multiplier of the offsets by step: evenly spaced from `start` to `end` over `steps` steps, and `end` from then on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FadeIn {
    /// At the first step.
    pub start: f64,
    /// At the last step of the schedule and after it.
    pub end: f64,
    /// Steps of the schedule.
    pub steps: usize,
}

impl Default for FadeIn {
    /// As published.
    fn default() -> Self {
        Self {
            start: 0.1,
            end: 1.0,
            steps: 1000,
        }
    }
}

impl FadeIn {
    /// Refuses numbers that are none.
    ///
    /// # Errors
    ///
    /// A bound that is not finite.
    pub fn validate(&self) -> Result<()> {
        match self.start.is_finite() && self.end.is_finite() {
            true => Ok(()),
            false => Err(Error::config(
                "fade-in",
                format!("{} to {}", self.start, self.end),
                "finite numbers",
            )),
        }
    }

    /// The multiplier at `step`, counted from 0.
    #[must_use]
    pub fn at(&self, step: usize) -> f64 {
        if step >= self.steps || self.steps < 2 {
            return match step >= self.steps {
                true => self.end,
                false => self.start,
            };
        }
        self.start + (self.end - self.start) * step as f64 / (self.steps - 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_multiplier_rises_to_its_end_and_stays() {
        let fade = FadeIn::default();
        assert_eq!((fade.at(0), fade.at(999), fade.at(5000)), (0.1, 1.0, 1.0));
        assert!((fade.at(111) - 0.2).abs() < 1e-12);
    }
}

//! Settings of an inversion, and how learning rate and noise change over its steps.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where a latent is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// One row for all layers: edits well, comes less near.
    W,
    /// A row for each layer: comes nearer, edits less well.
    WPlus,
}

/// Settings of [`Projector`](crate::Projector). Lengths of ramps are parts of the whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to look.
    pub space: Space,
    /// Steps of Adam.
    pub steps: usize,
    /// Learning rate between the ramps.
    pub lr: f64,
    /// Rises linearly from 0 over this part.
    pub lr_ramp_up: f64,
    /// Falls to 0 along a cosine over this last part.
    pub lr_ramp_down: f64,
    /// Noise added to the latent at the start, in standard deviations of W.
    pub latent_noise: f64,
    /// That noise falls to 0, quadratically, over this part.
    pub latent_noise_ramp: f64,
    /// Weight of what keeps the pixel noise from carrying the picture; without it the generator's own maps stay.
    pub pixel_noise: Option<f64>,
    /// Weight of the mean square difference of pixels, beside the perceptual distance.
    pub l2: f64,
    /// Random latents that the mean and standard deviation of W are taken of.
    pub latent_samples: usize,
}

impl Default for Config {
    /// Those of stylegan2-ada-pytorch, in W.
    fn default() -> Self {
        Self {
            space: Space::W,
            steps: 1000,
            lr: 0.1,
            lr_ramp_up: 0.05,
            lr_ramp_down: 0.25,
            latent_noise: 0.05,
            latent_noise_ramp: 0.75,
            pixel_noise: Some(1e5),
            l2: 0.0,
            latent_samples: 10_000,
        }
    }
}

impl Config {
    /// For a few steps from latents that are near already, such as an encoder's: no noise shakes the latent off them, and the
    /// pixel noise stays the generator's own, which the encoder has seen.
    pub fn near() -> Self {
        Self {
            steps: 50,
            lr_ramp_up: 0.1,
            lr_ramp_down: 0.5,
            latent_noise: 0.0,
            pixel_noise: None,
            ..Self::default()
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let positive = [("learning rate", self.lr)];
        let not_negative = [
            ("noise of the latent", self.latent_noise),
            ("weight of the pixel noise", self.pixel_noise.unwrap_or(0.0)),
            ("weight of the squared difference", self.l2),
        ];
        let parts = [
            ("ramp up of the learning rate", self.lr_ramp_up),
            ("ramp down of the learning rate", self.lr_ramp_down),
            ("ramp of the latent's noise", self.latent_noise_ramp),
        ];
        for (what, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::setting(what, value, "a positive number"));
            }
        }
        for (what, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(what, value, "0 or a positive number"));
            }
        }
        for (what, value) in parts {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::setting(what, value, "a part from 0 to 1"));
            }
        }
        if self.latent_samples < 2 {
            return Err(Error::setting(
                "latents for the mean",
                self.latent_samples,
                "at least 2",
            ));
        }
        Ok(())
    }

    /// The learning rate of a step, counted from 0.
    pub fn lr_at(&self, step: usize) -> f64 {
        let t = self.part(step);
        let down = ratio(1.0 - t, self.lr_ramp_down).min(1.0);
        let up = ratio(t, self.lr_ramp_up).min(1.0);
        self.lr * (0.5 - 0.5 * (PI * down).cos()) * up
    }

    /// The latent's noise at a step, in standard deviations of W.
    pub fn latent_noise_at(&self, step: usize) -> f64 {
        let left = (1.0 - ratio(self.part(step), self.latent_noise_ramp)).max(0.0);
        self.latent_noise * left * left
    }

    fn part(&self, step: usize) -> f64 {
        step as f64 / self.steps.max(1) as f64
    }
}

/// `t / length`, where a ramp of no length is over at once.
fn ratio(t: f64, length: f64) -> f64 {
    if length > 0.0 { t / length } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_stays_and_falls() {
        let config = Config::default();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(config.lr_at(0), 0.0);
        close(config.lr_at(25), 0.05);
        close(config.lr_at(50), 0.1);
        close(config.lr_at(750), 0.1);
        close(config.lr_at(875), 0.05);
        close(config.lr_at(1000), 0.0);
    }

    #[test]
    fn the_noise_falls_with_the_square_of_what_is_left() {
        let config = Config::default();
        assert_eq!(config.latent_noise_at(0), 0.05);
        assert_eq!(config.latent_noise_at(375), 0.05 * 0.25);
        assert_eq!(config.latent_noise_at(750), 0.0);
        assert_eq!(config.latent_noise_at(900), 0.0);
    }

    #[test]
    fn ramps_of_no_length_are_over_at_once() {
        let config = Config {
            lr_ramp_up: 0.0,
            lr_ramp_down: 0.0,
            latent_noise_ramp: 0.0,
            ..Config::default()
        };
        assert_eq!(config.lr_at(0), 0.1);
        assert_eq!(config.lr_at(999), 0.1);
        assert_eq!(config.latent_noise_at(0), 0.0);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |config: Config| config.validate().unwrap_err().to_string();
        let base = Config::default;
        for (config, word) in [
            (Config { lr: 0.0, ..base() }, "learning rate"),
            (
                Config {
                    lr: f64::NAN,
                    ..base()
                },
                "learning rate",
            ),
            (Config { l2: -1.0, ..base() }, "squared difference"),
            (
                Config {
                    pixel_noise: Some(f64::INFINITY),
                    ..base()
                },
                "pixel noise",
            ),
            (
                Config {
                    lr_ramp_down: 1.5,
                    ..base()
                },
                "ramp down",
            ),
            (
                Config {
                    latent_samples: 1,
                    ..base()
                },
                "at least 2",
            ),
        ] {
            let message = refused(config);
            assert!(message.contains(word), "{message}");
        }
        assert!(base().validate().is_ok());
    }
}

//! Moving average of parameters, with a half-life in images.
//!
//! `p̄ ← p + β (p̄ − p)` with `β = 0.5^(batch / max(h, 1e-8))`, where the half-life `h` is
//! `min(half_life, ramp_up · images seen)`: early on, when the parameters are still poor, the average follows them faster.
//! Follows the training loop of stylegan2-ada-pytorch.

use domex_ops::optimizer;

use crate::params::Parameters;
use crate::state::State;
use crate::{Error, Result};

/// How fast the average follows the parameters.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaConfig {
    /// Half-life in thousands of images.
    pub kimg: f64,
    /// The half-life is at most this fraction of the images seen; `None` for no such limit.
    pub ramp_up: Option<f64>,
}

impl EmaConfig {
    /// β for one step of `batch` images after `images` images in all.
    pub fn beta(&self, batch: usize, images: u64) -> f64 {
        let mut half_life = self.kimg * 1000.0;
        if let Some(ramp) = self.ramp_up {
            half_life = half_life.min(images as f64 * ramp);
        }
        0.5f64.powf(batch as f64 / half_life.max(1e-8))
    }
}

/// Averages of a set of parameters. See the [module docs](self).
#[derive(Debug)]
pub struct Ema {
    config: EmaConfig,
    source: Parameters,
    average: Parameters,
}

impl Ema {
    /// An average that starts at the parameters' present values.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] when a number is out of range.
    pub fn new(source: &Parameters, config: EmaConfig) -> Result<Self> {
        let ramp_up = config
            .ramp_up
            .map(|share| ("ramp_up of the average", share));
        let kimg = ("half-life of the average in kimg", config.kimg);
        for (name, number) in std::iter::once(kimg).chain(ramp_up) {
            if !(number.is_finite() && number >= 0.0) {
                return Err(Error::setting(name, number, "0 or more"));
            }
        }
        Ok(Self {
            config,
            source: source.clone(),
            average: Parameters::copy_of(&source.frozen())?,
        })
    }

    /// The averages. A network built on [`Parameters::frozen`] of them follows every update.
    pub fn average(&self) -> &Parameters {
        &self.average
    }

    /// Moves the averages after a step of `batch` images, `images` in all.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn update(&self, batch: usize, images: u64) -> Result<()> {
        let beta = self.config.beta(batch, images);
        for ((_, average), (_, source)) in self.average.iter().zip(self.source.iter()) {
            optimizer::average(average, source, beta)?;
        }
        Ok(())
    }

    /// Puts the averages into a snapshot, below `prefix`.
    ///
    /// # Errors
    ///
    /// A name that is taken.
    pub fn save(&self, prefix: &str, state: &mut State) -> Result<()> {
        state.put_parameters(prefix, &self.average)
    }

    /// Takes the averages from a snapshot.
    ///
    /// # Errors
    ///
    /// A tensor that is missing or has another shape.
    pub fn restore(&self, prefix: &str, state: &State) -> Result<()> {
        state.load_parameters(prefix, &self.average)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle_core::{Device, Tensor, Var};

    use super::*;

    #[test]
    fn beta_follows_half_life_and_ramp() {
        let plain = EmaConfig {
            kimg: 10.0,
            ramp_up: None,
        };
        // After 10 000 images half of the old average is left.
        assert!((plain.beta(10_000, 1) - 0.5).abs() < 1e-12);
        let ramped = EmaConfig {
            ramp_up: Some(0.05),
            ..plain
        };
        assert!((ramped.beta(32, 1000) - 0.5f64.powf(32.0 / 50.0)).abs() < 1e-12);
        assert_eq!(ramped.beta(32, 10_000_000), plain.beta(32, 0));
        assert_eq!(ramped.beta(32, 0), 0.0, "nothing seen: the average jumps");
    }

    #[test]
    fn the_average_moves_and_is_restored() {
        let var = Var::new(&[1f32, -2.0], &Device::Cpu).unwrap();
        let source = Parameters::new(BTreeMap::from([("x".to_string(), var.clone())]));
        let config = EmaConfig {
            kimg: 0.002,
            ramp_up: None,
        };
        let ema = Ema::new(&source, config).unwrap();
        let frozen = ema.average().frozen();
        var.set(&Tensor::new(&[3f32, 2.0], &Device::Cpu).unwrap())
            .unwrap();
        ema.update(2, 2).unwrap();
        assert_eq!(frozen["x"].to_vec1::<f32>().unwrap(), [2.0, 0.0]);
        let mut state = State::new();
        ema.save("ema.", &mut state).unwrap();
        ema.update(2, 4).unwrap();
        assert_eq!(frozen["x"].to_vec1::<f32>().unwrap(), [2.5, 1.0]);
        ema.restore("ema.", &state).unwrap();
        assert_eq!(frozen["x"].to_vec1::<f32>().unwrap(), [2.0, 0.0]);
        let bad = EmaConfig {
            kimg: -1.0,
            ramp_up: None,
        };
        assert!(Ema::new(&source, bad).is_err());
    }
}

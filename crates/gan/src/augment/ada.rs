//! How strong the augmentation is: the adaptive controller.
//!
//! ```text
//! r = mean sign(D(real))                          over the last `interval` steps
//! p <- p + sign(r − target) · pictures / (1000 kimg),           kept within 0 to 1
//! ```
//!
//! The pictures are those of the same steps: `batch · interval` as published, where every batch is of the same size.
//!
//! A discriminator that remembers its pictures gives them all positive logits: `r` rises to 1, and
//! so does `p`. Section 3.2 of arXiv 2006.06676; NVlabs/stylegan2-ada-pytorch,
//! `training/training_loop.py`, which lets `p` rise above 1, where nothing more happens.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The published settings are the default.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaConfig {
    /// The `r` to hold; without one `p` stays as it is.
    pub target: Option<f64>,
    /// Steps between two adjustments.
    pub interval: u64,
    /// Thousands of pictures that it takes from 0 to 1.
    pub kimg: f64,
}

impl Default for AdaConfig {
    fn default() -> Self {
        Self {
            target: Some(0.6),
            interval: 4,
            kimg: 500.0,
        }
    }
}

/// What counts of the discriminator's logits of real pictures: whole numbers, whose sums have no order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signs {
    /// Of −1, 0 and 1.
    pub sum: f64,
    /// How many.
    pub count: u64,
}

impl Signs {
    /// Of `logits` of any shape. Those that are not finite are left out.
    ///
    /// # Errors
    ///
    /// When the numbers cannot be read.
    pub fn of(logits: &Tensor) -> Result<Self> {
        let logits = logits.to_dtype(DType::F64)?.flatten_all()?;
        let mut signs = Self::default();
        for logit in logits.to_vec1::<f64>()? {
            if logit.is_finite() {
                // `signum` has no 0.
                signs.sum += if logit == 0.0 { 0.0 } else { logit.signum() };
                signs.count += 1;
            }
        }
        Ok(signs)
    }
}

/// The controller, with all of its state: it is resumed from a snapshot where it stopped.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ada {
    config: AdaConfig,
    p: f64,
    /// Sum and number of the signs since the last adjustment.
    signs: f64,
    count: u64,
    /// Steps since then.
    steps: u64,
    /// Pictures of those steps.
    pictures: u64,
    /// The last `r`.
    sign: Option<f64>,
}

impl Ada {
    /// A controller that starts at `p`.
    ///
    /// # Errors
    ///
    /// A setting out of range.
    pub fn new(config: AdaConfig, p: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::setting("augmentation probability", p, "0 to 1"));
        }
        if let Some(target) = config.target
            && !(-1.0..=1.0).contains(&target)
        {
            return Err(Error::setting("ADA target", target, "-1 to 1"));
        }
        if config.interval == 0 {
            return Err(Error::setting("ADA interval", 0, "1 or more"));
        }
        if !(config.kimg.is_finite() && config.kimg > 0.0) {
            return Err(Error::setting("ADA kimg", config.kimg, "above 0"));
        }
        Ok(Self {
            config,
            p,
            signs: 0.0,
            count: 0,
            steps: 0,
            pictures: 0,
            sign: None,
        })
    }

    /// The probability to augment with now.
    #[must_use]
    pub fn p(&self) -> f64 {
        self.p
    }

    /// The mean sign at the last adjustment, for the log.
    #[must_use]
    pub fn sign(&self) -> Option<f64> {
        self.sign
    }

    /// Takes note of the discriminator's logits of real pictures.
    pub fn note(&mut self, signs: Signs) {
        self.signs += signs.sum;
        self.count += signs.count;
    }

    /// Counts a training step of `batch` pictures, and adjusts `p` when it is time. Returns
    /// whether it was.
    pub fn step(&mut self, batch: usize) -> bool {
        self.steps += 1;
        self.pictures += batch as u64;
        if self.steps < self.config.interval {
            return false;
        }
        let pictures = std::mem::take(&mut self.pictures);
        self.steps = 0;
        if self.count == 0 {
            return false;
        }
        let sign = self.signs / self.count as f64;
        (self.signs, self.count, self.sign) = (0.0, 0, Some(sign));
        let Some(target) = self.config.target else {
            return false;
        };
        let step = pictures as f64 / (1000.0 * self.config.kimg);
        let direction = match sign.partial_cmp(&target) {
            Some(std::cmp::Ordering::Greater) => 1.0,
            Some(std::cmp::Ordering::Less) => -1.0,
            _ => 0.0,
        };
        self.p = (self.p + direction * step).clamp(0.0, 1.0);
        true
    }
}

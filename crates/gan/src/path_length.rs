//! The generator's lazy regularizer: a step in the latent should change every picture as much.
//!
//! ```text
//! length_i = sqrt(mean over rows of ‖∂ Σ(img y) / ∂ ws_i‖²),   y ~ N(0, 1) / sqrt(h w)
//! a       <- a + decay (mean length − a)
//! loss     = weight · mean (length − a)²
//! ```
//!
//! (section 3.2 of arXiv 1912.04958). The gradient flows through the moved mean `a`. It runs on
//! plain mapping outputs with style mixing, also in an expansion, and on a part of the batch.
//! Definition: NVlabs/stylegan2-ada-pytorch, `training/loss.py`.

use candle_core::Tensor;
use domex_stylegan2::{Generator, Noise};

use crate::penalty::path_length_penalty;
use crate::{Error, Result};

/// The published settings are the default.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PathLengthConfig {
    /// Factor of the penalty.
    pub weight: f64,
    /// How fast the mean length follows that of the batch, from 0 to 1.
    pub decay: f64,
    /// The phase takes one of this many samples of a batch, to save memory.
    pub batch_shrink: usize,
}

impl Default for PathLengthConfig {
    fn default() -> Self {
        Self {
            weight: 2.0,
            decay: 0.01,
            batch_shrink: 2,
        }
    }
}

impl PathLengthConfig {
    /// How many samples of a batch of `batch` the phase takes: at least one.
    #[must_use]
    pub fn samples(&self, batch: usize) -> usize {
        (batch / self.batch_shrink.max(1)).max(1)
    }

    /// # Errors
    ///
    /// A number outside its range.
    pub fn validate(&self) -> Result<()> {
        if !(self.weight.is_finite() && self.weight >= 0.0) {
            return Err(Error::setting(
                "path length weight",
                self.weight,
                "0 or more",
            ));
        }
        if !(0.0..=1.0).contains(&self.decay) {
            return Err(Error::setting("path length decay", self.decay, "0 to 1"));
        }
        if self.batch_shrink == 0 {
            return Err(Error::setting("path length batch shrink", 0, "1 or more"));
        }
        Ok(())
    }
}

/// The penalty of a batch.
#[derive(Debug, Clone)]
pub struct PathLengthLoss {
    /// `weight` times the mean of the penalties, a scalar.
    pub loss: Tensor,
    /// `[n]`, without the weight.
    pub penalty: Tensor,
    /// `[n]`.
    pub lengths: Tensor,
    /// `[n, c, h, w]`.
    pub pictures: Tensor,
    /// The moved mean, a constant scalar: the `mean` of the next call.
    pub mean: Tensor,
}

/// The phase on `ws: [n, rows, w_dim]`, with standard normal `direction: [n, c, h, w]` and the
/// running `mean`, a scalar that starts at 0. Where `ws` tracks, the gradient reaches the mapping
/// network too.
///
/// # Errors
///
/// A wrong shape, a setting out of range, or a failing network.
pub fn path_length(
    generator: &Generator,
    ws: &Tensor,
    noise: Noise<'_>,
    direction: &Tensor,
    mean: &Tensor,
    config: &PathLengthConfig,
) -> Result<PathLengthLoss> {
    config.validate()?;
    let synthesis = generator.synthesis();
    let path = path_length_penalty(
        ws,
        |ws| synthesis.forward(ws, noise),
        direction,
        mean,
        config.decay,
    )?;
    Ok(PathLengthLoss {
        loss: (path.penalty.mean_all()? * config.weight)?,
        penalty: path.penalty,
        lengths: path.lengths,
        pictures: path.img,
        mean: path.mean.detach(),
    })
}

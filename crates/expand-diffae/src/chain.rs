//! From noise to pictures by a few deterministic steps, of which the last ones carry a gradient.

use candle_core::Tensor;
use domex_diffae::{Config, Error, Result, UNet};
use domex_diffusion::{Clip, Diffusion, Spacing};

/// See the top of this module.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    process: Diffusion,
    gradient_steps: usize,
}

impl Chain {
    /// # Errors
    ///
    /// More steps than the model was trained with, or a number that no whole stride gives.
    pub fn new(config: &Config, steps: usize, gradient_steps: usize) -> Result<Self> {
        let process = config.diffusion.pictures()?;
        Ok(Self {
            process: process.spaced(steps, Spacing::Ddim)?,
            gradient_steps,
        })
    }

    /// Codes `z: [n, D]` and noise `x_t: [n, c, h, w]` to pictures, by `live` where there is a gradient, else by `frozen`, which has
    /// the same weights as constants.
    pub fn pictures(&self, live: &UNet, frozen: &UNet, z: &Tensor, x_t: &Tensor) -> Result<Tensor> {
        let without = self.process.steps() - self.gradient_steps.min(self.process.steps());
        let constant = z.detach();
        let mut done = 0;
        let denoise = |x: &Tensor, t: &[f64]| {
            done += 1;
            if done <= without {
                frozen.forward(x, t, &constant)
            } else if self.gradient_steps == 1 {
                // Computing the activations again would save nothing.
                live.forward(x, t, z)
            } else {
                live.forward_recomputed(x, t, z)
            }
        };
        self.process
            .ddim_sample::<Error>(&x_t.detach(), Clip::Unit, denoise, |_| {})
    }
}

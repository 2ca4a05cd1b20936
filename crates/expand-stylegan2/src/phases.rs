//! The phases by which the generator goes on training on its source domain: the [adversarial] ones, and path length.
//!
//! [adversarial]: crate::adversarial

use candle_core::{DType, Tensor};
use domex_expand::{Result, SourceStep, Trainee};
use domex_gan::latents;
use domex_stylegan2::Noise;
use domex_train::accumulate::Accumulator;
use domex_train::lazy::Lazy;

use crate::adversarial::Adversarial;
use crate::trainee::{MEAN_LENGTH, StyleGan2, normal, own};

impl StyleGan2 {
    /// All phases that are due and have a weight.
    pub(crate) fn train_on_source(&mut self, mut step: SourceStep<'_>) -> Result<()> {
        self.generator_phase(&mut step)?;
        let (weight, interval) = (
            self.settings.path_length.weight,
            self.settings.path_length_interval,
        );
        if weight > 0.0 && Lazy::new(interval)?.due(step.at.step) {
            self.path_length_phase(&mut step)?;
        }
        self.discriminator_phases(&mut step)
    }

    /// Path length regularization, which is not projected. The running mean of lengths moves once a step, by the mean over all
    /// passes.
    fn path_length_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let config = self.settings.path_length;
        let gain = self.settings.path_length_interval as f64 * self.settings.weight();
        let counts = step.passes.iter().map(|pass| config.samples(*pass));
        let counts: Vec<usize> = counts.collect();
        let total: usize = counts.iter().sum();
        let mut sum = Accumulator::shared(step.team, counts.len()).of(step.optimizer);
        for (index, n) in counts.into_iter().enumerate() {
            self.pass(step, |it, step| {
                let ws = it.plain_latents(n, step)?;
                if !sum.begin(index) {
                    return Ok(());
                }
                let synthesis = &it.live.config().synthesis;
                let dims = [
                    n,
                    synthesis.img_channels,
                    synthesis.img_resolution,
                    synthesis.img_resolution,
                ];
                let device = it.device().clone();
                let direction = normal(&mut it.streams.direction, &dims, &device)?;
                let (noise, mean) = (Noise::Random(step.noise), &it.mean_length);
                let path = domex_gan::path_length(&it.live, &ws, noise, &direction, mean, &config);
                let path = path.map_err(own)?;
                let share = n as f64 / total as f64;
                let mean = path.mean.to_dtype(DType::F64)?.to_scalar::<f64>()?;
                sum.carry(MEAN_LENGTH, mean * share);
                Ok(sum.add("loss/path_length", &path.loss, share, gain)?)
            })?;
        }
        sum.exchange()?;
        if sum.is_finite() {
            let mean = Tensor::new(sum.carried(MEAN_LENGTH), self.device())?;
            self.mean_length = mean.to_dtype(self.mean_length.dtype())?;
        }
        Ok(sum.apply(step.optimizer, &[], step.losses)?)
    }

    /// Latents `[n, num_ws, D]` of the whole space, some with styles mixed.
    fn plain_latents(&mut self, n: usize, step: &mut SourceStep<'_>) -> Result<Tensor> {
        let labels = self.draw_labels(n)?;
        let w = self.draw_latents(n, labels.as_ref(), step.latents)?;
        let ws = latents::plain(&self.live, &w).map_err(own)?;
        let probability = self.settings.style_mixing;
        let cutoff = latents::draw_cutoff(&mut self.streams.mixing, ws.dim(1)?, probability);
        let Some(cutoff) = cutoff.map_err(own)? else {
            return Ok(ws);
        };
        let dims = [n, self.live.config().z_dim()];
        let z = normal(step.latents, &dims, self.device())?;
        latents::mix(&self.live, &ws, &z, labels.as_ref(), cutoff).map_err(own)
    }
}

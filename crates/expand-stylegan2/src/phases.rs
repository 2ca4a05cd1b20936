//! The phases by which the generator goes on training on its source domain.
//!
//! Each is a step of its network's optimizer. A loss or gradient that is not finite leaves the network as it was.

use candle_core::{DType, Tensor};
use domex_expand::{Result, SourceStep};
use domex_gan::latents;
use domex_stylegan2::Noise;
use domex_train::accumulate::Accumulator;
use domex_train::lazy::Lazy;

use crate::trainee::{MEAN_LENGTH, Purposes, StyleGan2, normal, own};

impl StyleGan2 {
    /// All phases that are due.
    pub(crate) fn train_on_source(&mut self, mut step: SourceStep<'_>) -> Result<()> {
        self.generator_phase(&mut step)?;
        if Lazy::new(self.settings.path_length_interval)?.due(step.at.step) {
            self.path_length_phase(&mut step)?;
        }
        self.discriminator_phase(&mut step)?;
        if Lazy::new(self.settings.r1_interval)?.due(step.at.step) {
            self.r1_phase(&mut step)?;
        }
        Ok(())
    }

    /// The generator's adversarial loss on the base subspace.
    fn generator_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let mut sum = Accumulator::shared(step.team, step.passes.len());
        for (index, n) in step.passes.clone().into_iter().enumerate() {
            self.pass(step, |it, step| {
                let labels = it.draw_labels(n)?;
                let ws = it.base_latents(n, step, labels.as_ref())?;
                let Some(adversary) = it.adversary.as_ref() else {
                    return Ok(());
                };
                if !sum.begin(index) {
                    return Ok(());
                }
                let noise = Noise::Random(step.noise);
                let label = adversary.takes(labels.as_ref());
                let loss =
                    domex_gan::generator_loss(&it.live, &adversary.frozen, &ws, label, noise, None);
                let loss = loss.map_err(own)?.loss;
                let share = n as f64 / step.batch as f64;
                Ok(sum.add("loss/G", &loss, share, it.settings.weight())?)
            })?;
        }
        Ok(sum.apply(step.optimizer, &[], step.losses)?)
    }

    /// Path length regularization, which is not projected. The running mean of lengths moves once a step, by the mean over all
    /// passes.
    fn path_length_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let config = self.settings.path_length;
        let gain = self.settings.path_length_interval as f64 * self.settings.weight();
        let counts = step.passes.iter().map(|pass| config.samples(*pass));
        let counts: Vec<usize> = counts.collect();
        let total: usize = counts.iter().sum();
        let mut sum = Accumulator::shared(step.team, counts.len());
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

    /// A pass of a step, on streams of its own where the step has several.
    fn pass(
        &mut self,
        step: &mut SourceStep<'_>,
        work: impl FnOnce(&mut Self, &mut SourceStep<'_>) -> Result<()>,
    ) -> Result<()> {
        step.pass(self, |it| &mut it.streams, Purposes::fork, work)
    }

    /// Latents `[n, num_ws, D]` of the whole space, some with styles mixed.
    fn plain_latents(&mut self, n: usize, step: &mut SourceStep<'_>) -> Result<Tensor> {
        let labels = self.draw_labels(n)?;
        let w = self.draw(n, labels.as_ref(), step.latents)?;
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

    /// The discriminator's adversarial loss; its fakes are on the base subspace.
    fn discriminator_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let mut sum = Accumulator::shared(step.team, step.passes.len());
        for (index, n) in step.passes.clone().into_iter().enumerate() {
            self.pass(step, |it, step| {
                let labels = it.draw_labels(n)?;
                let ws = it.base_latents(n, step, labels.as_ref())?;
                if !sum.begin(index) {
                    return Ok(());
                }
                let noise = Noise::Random(step.noise);
                let fakes = it.live_frozen.synthesis().forward(&ws, noise);
                let fakes = fakes.map_err(own)?;
                let reals = it.draw_reals(n)?;
                let (Some(adversary), Some((reals, real_labels))) = (&it.adversary, reals) else {
                    return Ok(());
                };
                let share = n as f64 / step.batch as f64;
                let label = adversary.takes(labels.as_ref());
                let fake = domex_gan::fake_loss(&adversary.live, &fakes, label, None);
                let fake = fake.map_err(own)?;
                sum.add("loss/D_fake", &fake.loss, share, 1.0)?;
                // One graph at a time.
                drop((fake, fakes));
                let label = adversary.takes(real_labels.as_ref());
                let real = domex_gan::real_loss(&adversary.live, &reals, label, None);
                let real = real.map_err(own)?;
                Ok(sum.add("loss/D_real", &real.loss, share, 1.0)?)
            })?;
        }
        self.apply_to_discriminator(sum, step)
    }

    /// R1 regularization of the discriminator.
    fn r1_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let gain = self.settings.r1_interval as f64;
        let mut sum = Accumulator::shared(step.team, step.passes.len());
        for (index, n) in step.passes.clone().into_iter().enumerate() {
            self.pass(step, |it, step| {
                if !sum.begin(index) {
                    return Ok(());
                }
                let reals = it.draw_reals(n)?;
                let (Some(adversary), Some((reals, labels))) = (&it.adversary, reals) else {
                    return Ok(());
                };
                let label = adversary.takes(labels.as_ref());
                let gamma = it.settings.gamma;
                let r1 = domex_gan::r1(&adversary.live, &reals, label, gamma, None);
                let r1 = r1.map_err(own)?;
                let share = n as f64 / step.batch as f64;
                Ok(sum.add("loss/r1", &r1.loss, share, gain)?)
            })?;
        }
        self.apply_to_discriminator(sum, step)
    }

    fn apply_to_discriminator(
        &mut self,
        sum: Accumulator,
        step: &mut SourceStep<'_>,
    ) -> Result<()> {
        match &mut self.adversary {
            Some(adversary) => Ok(sum.apply(&mut adversary.adam, &[], step.losses)?),
            None => Ok(()),
        }
    }

    fn base_latents(
        &mut self,
        n: usize,
        step: &mut SourceStep<'_>,
        labels: Option<&Tensor>,
    ) -> Result<Tensor> {
        let w = self.draw(n, labels, step.latents)?;
        latents::base(&self.live, &w, step.subspaces).map_err(own)
    }

    /// Labels for generated pictures, where the generator has classes.
    fn draw_labels(&mut self, n: usize) -> Result<Option<Tensor>> {
        let device = self.device().clone();
        match &self.reals {
            Some(reals) => reals.labels(n, &mut self.streams.labels, &device),
            None => Ok(None),
        }
    }

    fn draw_reals(&mut self, n: usize) -> Result<Option<(Tensor, Option<Tensor>)>> {
        let device = self.device().clone();
        let stream = &mut self.streams.pictures;
        let reals = self
            .reals
            .as_ref()
            .map(|reals| reals.draw(n, stream, &device));
        reals.transpose()
    }
}

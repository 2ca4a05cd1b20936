//! The phases by which the generator goes on training on its source domain.
//!
//! Each is a step of its network's optimizer. A loss or gradient that is not finite leaves the network as it was.

use candle_core::Tensor;
use domex_expand::{Result, SourceStep};
use domex_gan::latents;
use domex_stylegan2::Noise;
use domex_train::accumulate::Accumulator;
use domex_train::lazy::Lazy;

use crate::trainee::{StyleGan2, normal, own};

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
        let mut sum = Accumulator::default();
        for n in step.passes.clone() {
            let labels = self.draw_labels(n)?;
            let ws = self.base_latents(n, step, labels.as_ref())?;
            let Some(adversary) = &self.adversary else {
                return Ok(());
            };
            let noise = Noise::Random(step.noise);
            let label = adversary.takes(labels.as_ref());
            let loss =
                domex_gan::generator_loss(&self.live, &adversary.frozen, &ws, label, noise, None);
            let loss = loss.map_err(own)?.loss;
            let share = n as f64 / step.batch as f64;
            sum.add("loss/G", &loss, share, self.settings.weight())?;
        }
        Ok(sum.apply(step.optimizer, &[], step.losses)?)
    }

    /// Path length regularization, which is not projected. The running mean of lengths moves with every pass.
    fn path_length_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let config = self.settings.path_length;
        let gain = self.settings.path_length_interval as f64 * self.settings.weight();
        let counts = step.passes.iter().map(|pass| config.samples(*pass));
        let counts: Vec<usize> = counts.collect();
        let total: usize = counts.iter().sum();
        let mut mean_length = self.mean_length.clone();
        let mut sum = Accumulator::default();
        for n in counts {
            let ws = self.plain_latents(n, step)?;
            let synthesis = &self.live.config().synthesis;
            let dims = [
                n,
                synthesis.img_channels,
                synthesis.img_resolution,
                synthesis.img_resolution,
            ];
            let device = self.device().clone();
            let direction = normal(&mut self.streams.direction, &dims, &device)?;
            let noise = Noise::Random(step.noise);
            let path =
                domex_gan::path_length(&self.live, &ws, noise, &direction, &mean_length, &config);
            let path = path.map_err(own)?;
            sum.add(
                "loss/path_length",
                &path.loss,
                n as f64 / total as f64,
                gain,
            )?;
            mean_length = path.mean;
        }
        if sum.is_finite() {
            self.mean_length = mean_length;
        }
        Ok(sum.apply(step.optimizer, &[], step.losses)?)
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
        let mut sum = Accumulator::default();
        for n in step.passes.clone() {
            let labels = self.draw_labels(n)?;
            let ws = self.base_latents(n, step, labels.as_ref())?;
            let noise = Noise::Random(step.noise);
            let fakes = self.live_frozen.synthesis().forward(&ws, noise);
            let fakes = fakes.map_err(own)?;
            let reals = self.draw_reals(n)?;
            let (Some(adversary), Some((reals, real_labels))) = (&self.adversary, reals) else {
                return Ok(());
            };
            let share = n as f64 / step.batch as f64;
            let label = adversary.takes(labels.as_ref());
            let fake = domex_gan::fake_loss(&adversary.live, &fakes, label, None).map_err(own)?;
            sum.add("loss/D_fake", &fake.loss, share, 1.0)?;
            // One graph at a time.
            drop((fake, fakes));
            let label = adversary.takes(real_labels.as_ref());
            let real = domex_gan::real_loss(&adversary.live, &reals, label, None).map_err(own)?;
            sum.add("loss/D_real", &real.loss, share, 1.0)?;
        }
        self.apply_to_discriminator(sum, step)
    }

    /// R1 regularization of the discriminator.
    fn r1_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let gain = self.settings.r1_interval as f64;
        let mut sum = Accumulator::default();
        for n in step.passes.clone() {
            let reals = self.draw_reals(n)?;
            let (Some(adversary), Some((reals, labels))) = (&self.adversary, reals) else {
                return Ok(());
            };
            let label = adversary.takes(labels.as_ref());
            let gamma = self.settings.gamma;
            let r1 = domex_gan::r1(&adversary.live, &reals, label, gamma, None).map_err(own)?;
            sum.add("loss/r1", &r1.loss, n as f64 / step.batch as f64, gain)?;
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

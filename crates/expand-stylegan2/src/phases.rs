//! The phases by which the generator goes on training on its source domain.
//!
//! Each is a step of its network's optimizer. A loss or gradient that is not finite leaves the network as it was.

use candle_core::{DType, Tensor};
use domex_expand::{Result, SourceStep};
use domex_gan::latents;
use domex_stylegan2::Noise;
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
        let labels = self.draw_labels(step.batch)?;
        let ws = self.base_latents(step, labels.as_ref())?;
        let Some(adversary) = &self.adversary else {
            return Ok(());
        };
        let noise = Noise::Random(step.noise);
        let label = adversary.takes(labels.as_ref());
        let loss =
            domex_gan::generator_loss(&self.live, &adversary.frozen, &ws, label, noise, None);
        let loss = loss.map_err(own)?.loss;
        step.losses.put("loss/G", number(&loss)?);
        Ok(step
            .optimizer
            .descend(&loss, self.settings.weight(), &[], step.losses)?)
    }

    /// Path length regularization, which is not projected.
    fn path_length_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let config = self.settings.path_length;
        let n = config.samples(step.batch);
        let labels = self.draw_labels(n)?;
        let w = self.draw(n, labels.as_ref(), step.latents)?;
        let mut ws = latents::plain(&self.live, &w).map_err(own)?;
        let probability = self.settings.style_mixing;
        let cutoff = latents::draw_cutoff(&mut self.streams.mixing, ws.dim(1)?, probability);
        if let Some(cutoff) = cutoff.map_err(own)? {
            let dims = [n, self.live.config().z_dim()];
            let z = normal(step.latents, &dims, self.device())?;
            ws = latents::mix(&self.live, &ws, &z, labels.as_ref(), cutoff).map_err(own)?;
        }
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
        let path = domex_gan::path_length(
            &self.live,
            &ws,
            noise,
            &direction,
            &self.mean_length,
            &config,
        );
        let path = path.map_err(own)?;
        let loss = number(&path.loss)?;
        step.losses.put("loss/path_length", loss);
        let gain = self.settings.path_length_interval as f64 * self.settings.weight();
        step.optimizer.descend(&path.loss, gain, &[], step.losses)?;
        if loss.is_finite() {
            self.mean_length = path.mean;
        }
        Ok(())
    }

    /// The discriminator's adversarial loss; its fakes are on the base subspace.
    fn discriminator_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let labels = self.draw_labels(step.batch)?;
        let ws = self.base_latents(step, labels.as_ref())?;
        let noise = Noise::Random(step.noise);
        let fakes = self
            .live
            .synthesis()
            .forward(&ws, noise)
            .map_err(own)?
            .detach();
        let reals = self.draw_reals(step.batch)?;
        let (Some(adversary), Some((reals, real_labels))) = (&mut self.adversary, reals) else {
            return Ok(());
        };
        let label = adversary.takes(labels.as_ref());
        let fake = domex_gan::fake_loss(&adversary.live, &fakes, label, None).map_err(own)?;
        let label = adversary.takes(real_labels.as_ref());
        let real = domex_gan::real_loss(&adversary.live, &reals, label, None).map_err(own)?;
        step.losses.put("loss/D_fake", number(&fake.loss)?);
        step.losses.put("loss/D_real", number(&real.loss)?);
        let loss = (fake.loss + real.loss)?;
        Ok(adversary.adam.descend(&loss, 1.0, &[], step.losses)?)
    }

    /// R1 regularization of the discriminator.
    fn r1_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let reals = self.draw_reals(step.batch)?;
        let (Some(adversary), Some((reals, labels))) = (&mut self.adversary, reals) else {
            return Ok(());
        };
        let label = adversary.takes(labels.as_ref());
        let r1 = domex_gan::r1(&adversary.live, &reals, label, self.settings.gamma, None);
        let loss = r1.map_err(own)?.loss;
        step.losses.put("loss/r1", number(&loss)?);
        let gain = self.settings.r1_interval as f64;
        Ok(adversary.adam.descend(&loss, gain, &[], step.losses)?)
    }

    fn base_latents(
        &mut self,
        step: &mut SourceStep<'_>,
        labels: Option<&Tensor>,
    ) -> Result<Tensor> {
        let w = self.draw(step.batch, labels, step.latents)?;
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

fn number(x: &Tensor) -> Result<f64> {
    Ok(x.detach().to_dtype(DType::F64)?.to_scalar::<f64>()?)
}

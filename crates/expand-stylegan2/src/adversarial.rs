//! Training against the discriminator of the source domain, which every kind of StyleGAN shares.
//!
//! | phase | when | what moves |
//! | --- | --- | --- |
//! | generator, on the base subspace | at every step | what the expansion trains |
//! | discriminator, on the base subspace | at every step | the discriminator |
//! | R1 | every k-th step, k times as strong | the discriminator |
//!
//! Each is a step of its network's optimizer. A loss or gradient that is not finite leaves the network as it was.

use candle_core::Tensor;
use domex_expand::{Opinion, Result, SourceStep, Trainee, Weights};
use domex_gan::Discriminator;
use domex_random::Stream;
use domex_train::accumulate::Accumulator;
use domex_train::lazy::Lazy;

use crate::networks::{Adversary, Reals, judge};
use crate::settings::SourceConfig;
use crate::trainee::own;

/// Pictures of the source domain, and what they and labels are drawn by.
pub struct Data<'a> {
    /// None where the generator does not train on its source domain.
    pub reals: Option<&'a Reals>,
    /// For pictures.
    pub pictures: &'a mut Stream,
    /// For labels of generated pictures.
    pub labels: &'a mut Stream,
}

/// A trainee that has an [`Adversary`]. The provided methods are the phases.
pub trait Adversarial: Trainee + Sized {
    /// Its random streams, but for those of a [step](SourceStep).
    type Streams;

    /// Its random streams.
    fn streams(&mut self) -> &mut Self::Streams;

    /// Streams that go their own way from here.
    fn fork(streams: &mut Self::Streams) -> Self::Streams;

    /// How it trains.
    fn settings(&self) -> &SourceConfig;

    /// Its discriminator.
    fn adversary(&self) -> Option<&Adversary>;

    /// The same, to train it.
    fn adversary_mut(&mut self) -> Option<&mut Adversary>;

    /// Its pictures.
    fn data(&mut self) -> Data<'_>;

    /// Pictures by one network of latents `[n, D]`, with fresh noise of this stream where the kind has some.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    fn synthesize(&self, weights: Weights, latents: &Tensor, noise: &mut Stream) -> Result<Tensor>;

    /// What [`Trainee::judge_edited`] says: by the live network, the discriminator as it has been trained; by others, as the
    /// source's file has it, which stays the same.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    fn opinion(
        &self,
        weights: Weights,
        edited: &Tensor,
        labels: Option<&Tensor>,
    ) -> Result<Option<Opinion>> {
        let weight = self.settings().realism;
        let learning = self.adversary().filter(|_| weights == Weights::Live);
        let learning = learning.map(|adversary| &adversary.frozen);
        let by = learning.or(self.discriminator()).filter(|_| weight > 0.0);
        let loss = by.map(|by| judge(by, edited, labels)).transpose()?;
        Ok(loss.map(|loss| Opinion { loss, weight }))
    }

    /// The discriminator that goes into the model's file: as it has been trained, or as the source's file has it.
    fn kept_discriminator(&self) -> Option<&Discriminator> {
        let learning = self.adversary().map(|adversary| &adversary.live);
        learning.or(self.discriminator())
    }

    /// The generator's adversarial loss on the base subspace.
    ///
    /// # Errors
    ///
    /// When a network or a picture fails.
    fn generator_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let mut sum = Accumulator::shared(step.team, step.passes.len()).of(step.optimizer);
        for (index, n) in step.passes.clone().into_iter().enumerate() {
            self.pass(step, |it, step| {
                let labels = it.draw_labels(n)?;
                let latents = it.base_latents(n, step, labels.as_ref())?;
                let Some(adversary) = it.adversary() else {
                    return Ok(());
                };
                if !sum.begin(index) {
                    return Ok(());
                }
                let pictures = it.synthesize(Weights::Live, &latents, step.noise)?;
                let label = adversary.takes(labels.as_ref());
                let loss = domex_gan::realism(&adversary.frozen, &pictures, label, None);
                let loss = loss.map_err(own)?.loss;
                let share = n as f64 / step.batch as f64;
                Ok(sum.add("loss/G", &loss, share, it.settings().weight())?)
            })?;
        }
        Ok(sum.apply(step.optimizer, &[], step.losses)?)
    }

    /// The discriminator's adversarial loss, whose fakes are on the base subspace, and R1 where it is due.
    ///
    /// # Errors
    ///
    /// When a network or a picture fails.
    fn discriminator_phases(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        self.discriminator_phase(step)?;
        let settings = self.settings();
        if settings.gamma > 0.0 && Lazy::new(settings.r1_interval)?.due(step.at.step) {
            self.r1_phase(step)?;
        }
        Ok(())
    }

    /// The adversarial loss alone.
    ///
    /// # Errors
    ///
    /// When a network or a picture fails.
    fn discriminator_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let mut sum = self.sum_of_discriminator(step);
        for (index, n) in step.passes.clone().into_iter().enumerate() {
            self.pass(step, |it, step| {
                let labels = it.draw_labels(n)?;
                let latents = it.base_latents(n, step, labels.as_ref())?;
                if !sum.begin(index) {
                    return Ok(());
                }
                let fakes = it.synthesize(Weights::Frozen, &latents, step.noise)?;
                let reals = it.draw_reals(n)?;
                let (Some(adversary), Some((reals, real_labels))) = (it.adversary(), reals) else {
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
    ///
    /// # Errors
    ///
    /// When a network or a picture fails.
    fn r1_phase(&mut self, step: &mut SourceStep<'_>) -> Result<()> {
        let gain = self.settings().r1_interval as f64;
        let mut sum = self.sum_of_discriminator(step);
        for (index, n) in step.passes.clone().into_iter().enumerate() {
            self.pass(step, |it, step| {
                if !sum.begin(index) {
                    return Ok(());
                }
                let reals = it.draw_reals(n)?;
                let (Some(adversary), Some((reals, labels))) = (it.adversary(), reals) else {
                    return Ok(());
                };
                let label = adversary.takes(labels.as_ref());
                let gamma = it.settings().gamma;
                let r1 = domex_gan::r1(&adversary.live, &reals, label, gamma, None);
                let r1 = r1.map_err(own)?;
                let share = n as f64 / step.batch as f64;
                Ok(sum.add("loss/r1", &r1.loss, share, gain)?)
            })?;
        }
        self.apply_to_discriminator(sum, step)
    }

    /// Of gradients for the discriminator.
    fn sum_of_discriminator(&self, step: &SourceStep<'_>) -> Accumulator {
        let sum = Accumulator::shared(step.team, step.passes.len());
        match self.adversary() {
            Some(adversary) => sum.of(&adversary.adam),
            None => sum,
        }
    }

    /// A step of the discriminator's optimizer.
    ///
    /// # Errors
    ///
    /// candle's own.
    fn apply_to_discriminator(
        &mut self,
        sum: Accumulator,
        step: &mut SourceStep<'_>,
    ) -> Result<()> {
        match self.adversary_mut() {
            Some(adversary) => Ok(sum.apply(&mut adversary.adam, &[], step.losses)?),
            None => Ok(()),
        }
    }

    /// A pass of a step, on streams of its own where the step has several.
    ///
    /// # Errors
    ///
    /// Those of the work.
    fn pass(
        &mut self,
        step: &mut SourceStep<'_>,
        work: impl FnOnce(&mut Self, &mut SourceStep<'_>) -> Result<()>,
    ) -> Result<()> {
        step.pass(self, Self::streams, Self::fork, work)
    }

    /// Latents `[n, D]` on the base subspace, as the mean is now.
    ///
    /// # Errors
    ///
    /// When the mapping network fails.
    fn base_latents(
        &mut self,
        n: usize,
        step: &mut SourceStep<'_>,
        labels: Option<&Tensor>,
    ) -> Result<Tensor> {
        let w = self.draw_latents(n, labels, step.latents)?;
        Ok(step.subspaces.project(&w, Some(&self.mean()?))?)
    }

    /// Labels for generated pictures, where the generator has classes.
    ///
    /// # Errors
    ///
    /// A label that cannot be read.
    fn draw_labels(&mut self, n: usize) -> Result<Option<Tensor>> {
        let device = self.generator(Weights::Live).device().clone();
        let data = self.data();
        match data.reals {
            Some(reals) => reals.labels(n, data.labels, &device),
            None => Ok(None),
        }
    }

    /// Pictures of the source domain, and their labels.
    ///
    /// # Errors
    ///
    /// A picture that cannot be read.
    fn draw_reals(&mut self, n: usize) -> Result<Option<(Tensor, Option<Tensor>)>> {
        let device = self.generator(Weights::Live).device().clone();
        let data = self.data();
        let reals = data.reals;
        reals
            .map(|reals| reals.draw(n, data.pictures, &device))
            .transpose()
    }
}

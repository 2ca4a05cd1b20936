//! The four phases of a step, from pictures and latents to parameters that have moved.
//!
//! | phase | when | network | gradients |
//! |---|---|---|---|
//! | G | always | live generator, frozen discriminator | to the generator |
//! | path length | every k-th step, k times as strong | live generator | to the generator |
//! | D | always | frozen generator, live discriminator | to the discriminator |
//! | R1 | every k-th step, k times as strong | live discriminator | to the discriminator |
//!
//! Each phase is a step of its network's optimizer. The passes of a step are added up, each weighted by its share of the
//! batch. A loss or gradient that is not finite leaves the network as it was.

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_gan::{PictureTransform, generator_loss, latents};
use domex_stylegan2::{Generator, Noise};
use domex_train::Losses;
use domex_train::accumulate::Accumulator;
use rayon::prelude::*;

use super::imitation;
use super::job::StyleGan2;
use crate::{Error, Result};
use domex_gan::augment::Drawn;

/// Real pictures of one pass.
pub(super) struct Reals {
    /// `[n, c, h, w]` in [−1, 1].
    pub pictures: Tensor,
    /// `[n, label_dim]`, if there are labels.
    pub labels: Option<Tensor>,
}

impl StyleGan2 {
    /// The generator's adversarial phase.
    pub(super) fn g_main(&mut self, losses: &mut Losses) -> Result<()> {
        let mut sum = Accumulator::default();
        for pass in self.config.passes() {
            let share = pass as f64 / self.config.batch as f64;
            let labels = self.random_labels(pass)?;
            let ws = self.latents(pass, labels.as_ref(), Network::Live)?;
            let changed = self.draw_change(pass)?;
            let change = changed.as_ref().map(transform);
            let phase = generator_loss(
                &self.networks.g,
                &self.networks.d_frozen,
                &ws,
                labels.as_ref(),
                Noise::Random(&mut self.streams.noise),
                change.as_ref().map(|change| change as PictureTransform<'_>),
            )?;
            sum.note("score/fake", mean(&phase.logits)?, share);
            sum.add("loss/G", &phase.loss, share, 1.0)?;
        }
        Ok(sum.apply(&mut self.networks.adam_g, &[], losses)?)
    }

    /// A step of the generator towards the teacher's pictures; with `adversarial`, the discriminator has its say on the same ones.
    pub(super) fn imitate(&mut self, adversarial: bool, losses: &mut Losses) -> Result<()> {
        let settings = self.config.imitation.as_ref();
        let Some((weight, finest)) = settings.map(|it| (it.weight, it.finest)) else {
            return Ok(());
        };
        let finest = if adversarial { finest } else { 0 };
        let mut sum = Accumulator::default();
        for pass in self.config.passes() {
            let share = pass as f64 / self.config.batch as f64;
            let (made, target) = self.shown(pass)?;
            let distance = imitation::distance(&made, &target, finest)?;
            let value = f64::from(distance.to_scalar::<f32>()?);
            sum.note("loss/imitation", value, share);
            let mut loss = (distance * weight)?;
            if adversarial {
                let changed = self.draw_change(pass)?;
                let change = changed.as_ref().map(transform);
                let change = change.as_ref().map(|change| change as PictureTransform<'_>);
                let d = &self.networks.d_frozen;
                let realism = domex_gan::realism(d, &made, None, change)?;
                sum.note("score/fake", mean(&realism.logits)?, share);
                loss = (loss + realism.loss)?;
            }
            sum.add("loss/G", &loss, share, 1.0)?;
        }
        Ok(sum.apply(&mut self.networks.adam_g, &[], losses)?)
    }

    /// Pictures of fresh latents, by the generator and by its teacher.
    fn shown(&mut self, n: usize) -> Result<(Tensor, Tensor)> {
        let Some(teaching) = &mut self.teaching else {
            let expected = "none, where nobody draws pictures for latents";
            return Err(Error::config("imitation", "a weight", expected));
        };
        let z_dim = self.config.z_dim;
        let mut numbers = vec![0f32; n * z_dim];
        teaching.latents.fill_normal(&mut numbers);
        let pictures: Vec<_> = numbers
            .par_chunks(z_dim)
            .map(|z| teaching.teacher.picture(z))
            .collect();
        let target = picture::from_rgb(&pictures, DType::F32, &self.device)?;
        let z = Tensor::from_vec(numbers, (n, z_dim), &self.device)?;
        let w = latents::map(&mut self.networks.g, &z, None)?;
        let ws = latents::plain(&self.networks.g, &w)?;
        let noise = Noise::Random(&mut self.streams.noise);
        let made = self.networks.g.synthesis().forward(&ws, noise)?;
        Ok((made, target))
    }

    /// Path length regularization of the generator.
    pub(super) fn g_regularise(&mut self, losses: &mut Losses) -> Result<()> {
        let Some(config) = self.config.path_length else {
            return Ok(());
        };
        let gain = self.config.path_length_interval as f64;
        let passes = self.config.passes();
        let total: usize = passes.iter().map(|pass| config.samples(*pass)).sum();
        let mut sum = Accumulator::default();
        let mut mean_length = self.mean_length.clone();
        for pass in passes {
            let n = config.samples(pass);
            let share = n as f64 / total as f64;
            let labels = self.random_labels(n)?;
            let ws = self.latents(n, labels.as_ref(), Network::Live)?;
            let (size, channels) = (self.config.resolution, self.config.channels);
            let direction = normal(
                &mut self.streams.direction,
                &[n, channels, size, size],
                &self.device,
            )?;
            let path = domex_gan::path_length(
                &self.networks.g,
                &ws,
                Noise::Random(&mut self.streams.noise),
                &direction,
                &mean_length,
                &config,
            )?;
            mean_length = path.mean.clone();
            sum.note("path/length", mean(&path.lengths)?, share);
            sum.add("loss/path_length", &path.loss, share, gain)?;
        }
        let fine = sum.is_finite();
        sum.apply(&mut self.networks.adam_g, &[], losses)?;
        if fine {
            self.mean_length = mean_length;
        }
        Ok(())
    }

    /// The discriminator's adversarial phase.
    pub(super) fn d_main(&mut self, reals: &[Reals], losses: &mut Losses) -> Result<()> {
        let mut sum = Accumulator::default();
        for real in reals {
            let n = real.pictures.dim(0)?;
            let share = n as f64 / self.config.batch as f64;
            let labels = self.random_labels(n)?;
            let ws = self.latents(n, labels.as_ref(), Network::Frozen)?;
            let noise = Noise::Random(&mut self.streams.noise);
            let fakes = self.networks.g_frozen.synthesis().forward(&ws, noise)?;
            let changed = self.draw_change(n)?;
            let change = changed.as_ref().map(transform);
            let change = change.as_ref().map(|change| change as PictureTransform<'_>);
            let fake = domex_gan::fake_loss(&self.networks.d, &fakes, labels.as_ref(), change)?;
            // One graph at a time: this one is gone before the next is built.
            sum.add("loss/D_fake", &fake.loss, share, 1.0)?;
            drop((fake, fakes));
            let changed = self.draw_change(n)?;
            let change = changed.as_ref().map(transform);
            let change = change.as_ref().map(|change| change as PictureTransform<'_>);
            let d = &self.networks.d;
            let found = domex_gan::real_loss(d, &real.pictures, real.labels.as_ref(), change)?;
            self.observe(&found.logits)?;
            sum.note("score/real", mean(&found.logits)?, share);
            sum.add("loss/D_real", &found.loss, share, 1.0)?;
        }
        Ok(sum.apply(&mut self.networks.adam_d, &[], losses)?)
    }

    /// R1 regularization of the discriminator.
    pub(super) fn d_regularise(&mut self, reals: &[Reals], losses: &mut Losses) -> Result<()> {
        let gain = self.config.r1_interval as f64;
        let mut sum = Accumulator::default();
        for real in reals {
            let n = real.pictures.dim(0)?;
            let share = n as f64 / self.config.batch as f64;
            let changed = self.draw_change(n)?;
            let change = changed.as_ref().map(transform);
            let r1 = domex_gan::r1(
                &self.networks.d,
                &real.pictures,
                real.labels.as_ref(),
                self.config.gamma,
                change.as_ref().map(|change| change as PictureTransform<'_>),
            )?;
            self.observe(&r1.logits)?;
            sum.add("loss/R1", &r1.loss, share, gain)?;
        }
        Ok(sum.apply(&mut self.networks.adam_d, &[], losses)?)
    }

    /// Latents `[n, rows, w_dim]` with style mixing. The running mean follows every batch; a graph comes only from the
    /// live network.
    fn latents(&mut self, n: usize, labels: Option<&Tensor>, network: Network) -> Result<Tensor> {
        let z_dim = self.config.z_dim;
        let z = normal(&mut self.streams.latents, &[n, z_dim], &self.device)?;
        let rows = self.networks.g.config().num_ws();
        let cutoff =
            latents::draw_cutoff(&mut self.streams.mixing, rows, self.config.style_mixing)?;
        let mut w = latents::map(&mut self.networks.g, &z, labels)?;
        if network == Network::Frozen {
            w = w.detach();
        }
        let g: &Generator = match network {
            Network::Live => &self.networks.g,
            Network::Frozen => &self.networks.g_frozen,
        };
        let ws = latents::plain(g, &w)?;
        match cutoff {
            None => Ok(ws),
            Some(cutoff) => {
                let z = normal(&mut self.streams.latents, &[n, z_dim], &self.device)?;
                Ok(latents::mix(g, &ws, &z, labels, cutoff)?)
            }
        }
    }

    /// The augmentation of one batch of pictures, `None` for none.
    fn draw_change(&mut self, n: usize) -> Result<Option<Drawn>> {
        let Some((augment, ada)) = &self.augment else {
            return Ok(None);
        };
        let size = self.config.resolution;
        let drawn = augment.draw(
            [n, self.config.channels, size, size],
            ada.p(),
            &mut self.streams.augment,
        )?;
        Ok((!drawn.is_identity()).then_some(drawn))
    }

    fn observe(&mut self, logits: &Tensor) -> Result<()> {
        match &mut self.augment {
            Some((_, ada)) => Ok(ada.observe(logits)?),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    Live,
    Frozen,
}

fn transform(drawn: &Drawn) -> impl Fn(&Tensor) -> domex_gan::Result<Tensor> + Sync + '_ {
    |x| drawn.apply(x)
}

/// Standard normal numbers.
pub(super) fn normal(
    stream: &mut domex_random::Stream,
    dims: &[usize],
    device: &Device,
) -> Result<Tensor> {
    let mut values = vec![0f32; dims.iter().product()];
    stream.fill_normal(&mut values);
    Ok(Tensor::from_vec(values, dims, device)?)
}

fn mean(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.detach().mean_all()?.to_scalar::<f32>()?))
}

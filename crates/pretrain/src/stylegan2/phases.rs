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
//! batch. Several ranks share them; all draw the latents of all passes, as these move the mean latent. A loss or gradient that is not finite leaves the network as it was.

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_gan::{PictureTransform, generator_loss, latents};
use domex_ops::upload;
use domex_stylegan2::{Generator, Noise};
use domex_train::Losses;
use domex_train::accumulate::Accumulator;
use rayon::prelude::*;

use super::imitation;
use super::job::{MEAN_LENGTH, StyleGan2, Teaching};
use crate::{Error, Result};
use domex_gan::augment::{Drawn, Signs};

/// What passes tell the controller of the augmentation.
const SIGNS: &str = "ada/signs";
const SIGN_COUNT: &str = "ada/count";

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
        let passes = self.config.passes();
        let mut sum = Accumulator::shared(&self.team, passes.len()).of(&self.networks.adam_g);
        for (index, n) in passes.into_iter().enumerate() {
            self.pass(|it| {
                let labels = it.random_labels(n)?;
                let ws = it.latents(n, labels.as_ref(), Network::Live)?;
                if !sum.begin(index) {
                    return Ok(());
                }
                let changed = it.draw_change(n)?;
                let change = changed.as_ref().map(transform);
                let phase = generator_loss(
                    &it.networks.g,
                    &it.networks.d_frozen,
                    &ws,
                    labels.as_ref(),
                    Noise::Random(&mut it.streams.noise),
                    change.as_ref().map(|change| change as PictureTransform<'_>),
                )?;
                let share = n as f64 / it.config.batch as f64;
                sum.note("score/fake", mean(&phase.logits)?, share);
                Ok(sum.add("loss/G", &phase.loss, share, 1.0)?)
            })?;
        }
        Ok(sum.apply(&mut self.networks.adam_g, &[], losses)?)
    }

    /// A pass of a step, on streams of its own where the step has several: they are not drawn from any further if another rank
    /// computes it.
    fn pass(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.config.passes().len() == 1 {
            return work(self);
        }
        let forked = self.streams.fork();
        let outer = std::mem::replace(&mut self.streams, forked);
        let done = work(self);
        self.streams = outer;
        done
    }

    /// A step of the generator towards the teacher's pictures; with `adversarial`, the discriminator has its say on the same ones.
    pub(super) fn imitate(&mut self, adversarial: bool, losses: &mut Losses) -> Result<()> {
        let settings = self.config.imitation.as_ref();
        let Some((weight, finest)) = settings.map(|it| (it.weight, it.finest)) else {
            return Ok(());
        };
        let finest = if adversarial { finest } else { 0 };
        let passes = self.config.passes();
        let mut sum = Accumulator::shared(&self.team, passes.len()).of(&self.networks.adam_g);
        for (index, n) in passes.into_iter().enumerate() {
            self.pass(|it| {
                let share = n as f64 / it.config.batch as f64;
                let (numbers, w) = it.shown_latents(n)?;
                if !sum.begin(index) {
                    return Ok(());
                }
                let (made, target) = it.shown(&numbers, &w)?;
                let distance = imitation::distance(&made, &target, finest)?;
                let value = f64::from(distance.to_scalar::<f32>()?);
                sum.note("loss/imitation", value, share);
                let mut loss = (distance * weight)?;
                if adversarial {
                    let changed = it.draw_change(n)?;
                    let change = changed.as_ref().map(transform);
                    let change = change.as_ref().map(|change| change as PictureTransform<'_>);
                    let d = &it.networks.d_frozen;
                    let realism = domex_gan::realism(d, &made, None, change)?;
                    sum.note("score/fake", mean(&realism.logits)?, share);
                    loss = (loss + realism.loss)?;
                }
                Ok(sum.add("loss/G", &loss, share, 1.0)?)
            })?;
        }
        Ok(sum.apply(&mut self.networks.adam_g, &[], losses)?)
    }

    /// Fresh latents of which the teacher draws pictures: the numbers of `z`, one after the other, and `w`.
    fn shown_latents(&mut self, n: usize) -> Result<(Vec<f32>, Tensor)> {
        let z_dim = self.config.z_dim;
        let mut numbers = vec![0f32; n * z_dim];
        self.teaching()?.latents.fill_normal(&mut numbers);
        let z = Tensor::from_slice(&numbers, (n, z_dim), &Device::Cpu)?;
        let z = upload(&z, &self.device)?;
        let w = latents::map(&mut self.networks.g, &z, None)?;
        Ok((numbers, w))
    }

    /// Pictures of these latents, by the generator and by its teacher.
    fn shown(&mut self, numbers: &[f32], w: &Tensor) -> Result<(Tensor, Tensor)> {
        let z_dim = self.config.z_dim;
        let teacher = &self.teaching()?.teacher;
        let pictures: Vec<_> = numbers
            .par_chunks(z_dim)
            .map(|z| teacher.picture(z))
            .collect();
        let target = picture::from_rgb(&pictures, DType::F32, &Device::Cpu)?;
        let target = upload(&target, &self.device)?;
        let ws = latents::plain(&self.networks.g, w)?;
        let noise = Noise::Random(&mut self.streams.noise);
        let made = self.networks.g.synthesis().forward(&ws, noise)?;
        Ok((made, target))
    }

    fn teaching(&mut self) -> Result<&mut Teaching> {
        self.teaching.as_mut().ok_or_else(|| {
            let expected = "none, where nobody draws pictures for latents";
            Error::config("imitation", "a weight", expected)
        })
    }

    /// Path length regularization of the generator. The running mean of lengths moves once a step, by the mean over all passes.
    pub(super) fn g_regularise(&mut self, losses: &mut Losses) -> Result<()> {
        let config = self.config.path_length;
        let Some(config) = config.filter(|config| config.weight > 0.0) else {
            return Ok(());
        };
        let gain = self.config.path_length_interval as f64;
        let passes = self.config.passes().into_iter();
        let counts: Vec<usize> = passes.map(|pass| config.samples(pass)).collect();
        let total: usize = counts.iter().sum();
        let mut sum = Accumulator::shared(&self.team, counts.len()).of(&self.networks.adam_g);
        for (index, n) in counts.into_iter().enumerate() {
            self.pass(|it| {
                let labels = it.random_labels(n)?;
                let ws = it.latents(n, labels.as_ref(), Network::Live)?;
                if !sum.begin(index) {
                    return Ok(());
                }
                let (size, channels) = (it.config.resolution, it.config.channels);
                let dims = [n, channels, size, size];
                let direction = normal(&mut it.streams.direction, &dims, &it.device)?;
                let path = domex_gan::path_length(
                    &it.networks.g,
                    &ws,
                    Noise::Random(&mut it.streams.noise),
                    &direction,
                    &it.mean_length,
                    &config,
                )?;
                let share = n as f64 / total as f64;
                let moved = path.mean.to_dtype(DType::F64)?.to_scalar::<f64>()?;
                sum.carry(MEAN_LENGTH, moved * share);
                sum.note("path/length", mean(&path.lengths)?, share);
                Ok(sum.add("loss/path_length", &path.loss, share, gain)?)
            })?;
        }
        sum.exchange()?;
        if sum.is_finite() {
            let mean = Tensor::new(sum.carried(MEAN_LENGTH), &self.device)?;
            self.mean_length = mean.to_dtype(self.mean_length.dtype())?;
        }
        Ok(sum.apply(&mut self.networks.adam_g, &[], losses)?)
    }

    /// The discriminator's adversarial phase.
    pub(super) fn d_main(&mut self, reals: &[Option<Reals>], losses: &mut Losses) -> Result<()> {
        let mut sum = Accumulator::shared(&self.team, reals.len()).of(&self.networks.adam_d);
        for (index, n) in self.config.passes().into_iter().enumerate() {
            self.pass(|it| {
                let labels = it.random_labels(n)?;
                let ws = it.latents(n, labels.as_ref(), Network::Frozen)?;
                let Some(real) = reals[index].as_ref().filter(|_| sum.begin(index)) else {
                    return Ok(());
                };
                let share = n as f64 / it.config.batch as f64;
                let noise = Noise::Random(&mut it.streams.noise);
                let fakes = it.networks.g_frozen.synthesis().forward(&ws, noise)?;
                let changed = it.draw_change(n)?;
                let change = changed.as_ref().map(transform);
                let change = change.as_ref().map(|change| change as PictureTransform<'_>);
                let fake = domex_gan::fake_loss(&it.networks.d, &fakes, labels.as_ref(), change)?;
                // One graph at a time: this one is gone before the next is built.
                sum.add("loss/D_fake", &fake.loss, share, 1.0)?;
                drop((fake, fakes));
                let changed = it.draw_change(n)?;
                let change = changed.as_ref().map(transform);
                let change = change.as_ref().map(|change| change as PictureTransform<'_>);
                let d = &it.networks.d;
                let found = domex_gan::real_loss(d, &real.pictures, real.labels.as_ref(), change)?;
                carry_signs(&mut sum, &found.logits)?;
                sum.note("score/real", mean(&found.logits)?, share);
                Ok(sum.add("loss/D_real", &found.loss, share, 1.0)?)
            })?;
        }
        self.move_discriminator(sum, losses)
    }

    /// R1 regularization of the discriminator; with a weight of 0, nothing.
    pub(super) fn d_regularise(
        &mut self,
        reals: &[Option<Reals>],
        losses: &mut Losses,
    ) -> Result<()> {
        if self.config.gamma == 0.0 {
            return Ok(());
        }
        let gain = self.config.r1_interval as f64;
        let mut sum = Accumulator::shared(&self.team, reals.len()).of(&self.networks.adam_d);
        for (index, n) in self.config.passes().into_iter().enumerate() {
            self.pass(|it| {
                let Some(real) = reals[index].as_ref().filter(|_| sum.begin(index)) else {
                    return Ok(());
                };
                let changed = it.draw_change(n)?;
                let change = changed.as_ref().map(transform);
                let r1 = domex_gan::r1(
                    &it.networks.d,
                    &real.pictures,
                    real.labels.as_ref(),
                    it.config.gamma,
                    change.as_ref().map(|change| change as PictureTransform<'_>),
                )?;
                carry_signs(&mut sum, &r1.logits)?;
                let share = n as f64 / it.config.batch as f64;
                Ok(sum.add("loss/R1", &r1.loss, share, gain)?)
            })?;
        }
        self.move_discriminator(sum, losses)
    }

    /// The step of the discriminator, of which the controller of the augmentation hears.
    fn move_discriminator(&mut self, mut sum: Accumulator, losses: &mut Losses) -> Result<()> {
        sum.exchange()?;
        if let Some((_, ada)) = &mut self.augment {
            ada.note(Signs {
                sum: sum.carried(SIGNS),
                count: sum.carried(SIGN_COUNT) as u64,
            });
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
    Ok(upload(
        &Tensor::from_vec(values, dims, &Device::Cpu)?,
        device,
    )?)
}

/// Lets the controller of the augmentation hear of logits of real pictures.
fn carry_signs(sum: &mut Accumulator, logits: &Tensor) -> Result<()> {
    let signs = Signs::of(logits)?;
    sum.carry(SIGNS, signs.sum);
    sum.carry(SIGN_COUNT, signs.count as f64);
    Ok(())
}

fn mean(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.detach().mean_all()?.to_scalar::<f32>()?))
}

//! The phases of a step, from latents to parameters that have moved.
//!
//! | phase | when | what moves |
//! | --- | --- | --- |
//! | expansion and replay alignment | always | the synthesis |
//! | generator, on the base subspace | with pictures of the source domain | the synthesis |
//! | path length, on plain latents with style mixing | every k-th step, k times as strong | the synthesis |
//! | discriminator, on the base subspace | with pictures | the discriminator |
//! | R1 | every k-th step, k times as strong | the discriminator |
//!
//! Each phase is a step of its network's optimiser. A loss or gradient that is not finite leaves
//! the network as it was. Noise is fresh for base, edited and source pictures, as published.

use candle_core::{DType, Device, Tensor, Var};
use domex_random::Stream;
use domex_replay::{alignment, generator_loss, latents, realism};
use domex_stylegan2::Noise;
use domex_train::Losses;
use domex_train::adam::Adam;

use crate::job::Expand;
use crate::{Error, Result};

impl Expand {
    /// New domains, alignment with the source, and what else is weighted.
    pub(crate) fn expand_phase(&mut self, losses: &mut Losses) -> Result<()> {
        let n = self.config.batch;
        let count = self.objective.tasks().len();
        let tasks = (0..n)
            .map(|_| self.streams.tasks.index(count))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| Error::setting("tasks", error, "at least one"))?;
        let w = self.draw_latents(n)?;
        let mean = self.networks.g.mean_w()?;
        let frozen = match &mut self.layers {
            None => Vec::new(),
            Some(layers) => {
                let objective = &self.objective;
                let edit = |w, tasks: &[usize]| Ok(objective.latents(&w, &mean, tasks)?.edited);
                layers.frozen(&tasks, edit, &self.networks.g_parameters, losses)?
            }
        };
        let latents = self.objective.latents(&w, &mean, &tasks)?;
        let pictures = self.objective.pictures(
            &self.networks.g,
            Some(&self.networks.source),
            &latents,
            Noise::Random(&mut self.streams.noise),
            Noise::Random(&mut self.streams.source_noise),
        )?;
        let step = self
            .objective
            .loss(&pictures, &tasks, None, n, &mut self.streams.methods)?;
        losses.put("loss/expand", number(&step.expand)?);
        losses.put("loss/l2", number(&step.alignment.l2)?);
        losses.put("loss/lpips", number(&step.alignment.perceptual)?);
        // What is not finite is told of by the sum, and must not enter the means.
        let finite = tasks.iter().zip(&step.per_sample);
        for (task, value) in finite.filter(|(_, value)| value.is_finite()) {
            let domain = &self.domains.layout.domains()[self.domains.earlier + task];
            losses
                .values
                .push((format!("domain/{}", domain.name), *value));
        }
        let mut total = step.total;
        if let Some(diversity) = &step.diversity {
            losses.put("loss/diversity", number(diversity)?);
        }
        if self.domains.earlier > 0 && !self.config.objective.alignment.is_off() {
            total = (total + self.earlier_domains(&latents.base, losses)?)?;
        }
        if let (Some(judge), true) = (&self.networks.judge, self.config.realism > 0.0) {
            let judged = realism(&judge.d_frozen, &pictures.edited, None, None)?;
            losses.put("loss/realism", number(&judged.loss)?);
            total = (total + (judged.loss * self.config.realism)?)?;
        }
        apply_but(&mut self.networks.adam_g, &total, 1.0, &frozen, losses)
    }

    /// Alignment on the domains that the model had: each sample moves along one of theirs.
    fn earlier_domains(&mut self, base: &Tensor, losses: &mut Losses) -> Result<Tensor> {
        let domains = (0..base.dim(0)?).map(|_| self.streams.earlier.index(self.domains.earlier));
        let domains = domains
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| Error::setting("earlier domains", error, "some"))?;
        let ws = self.moved(base, &domains)?;
        let noise = Noise::Random(&mut self.streams.noise);
        let now = self.networks.g.synthesis().forward(&ws, noise)?;
        let noise = Noise::Random(&mut self.streams.source_noise);
        let before = self.networks.source.synthesis().forward(&ws, noise)?;
        let term = self.aligned(&now, &before)?;
        losses.put("loss/earlier", number(&term)?);
        Ok(term)
    }

    /// Rows `[n, rows, D]` of base latents `[n, D]`, each moved into one of all domains.
    pub(crate) fn moved(&self, base: &Tensor, domains: &[usize]) -> Result<Tensor> {
        let columns = self.objective.subspaces().count();
        let mut steps = vec![0.0; domains.len() * columns];
        for (sample, &domain) in domains.iter().enumerate() {
            steps[sample * columns + domain] = self.domains.layout.domains()[domain].distance;
        }
        let steps = Tensor::from_vec(steps, (domains.len(), columns), base.device())?;
        let moved = self.objective.subspaces().shift(base, &steps)?;
        Ok(latents::plain(&self.networks.g, &moved)?)
    }

    /// The weighted difference of pictures from what the source makes of the same latents.
    pub(crate) fn aligned(&self, now: &Tensor, before: &Tensor) -> Result<Tensor> {
        let weights = &self.config.objective.alignment;
        Ok(alignment(now, before, self.distance.as_deref(), weights)?.loss)
    }

    /// The generator's adversarial phase on the base subspace.
    pub(crate) fn generator_phase(&mut self, losses: &mut Losses) -> Result<()> {
        let w = self.draw_latents(self.config.batch)?;
        let ws = latents::base(&self.networks.g, &w, self.objective.subspaces())?;
        let Some(judge) = &self.networks.judge else {
            return Ok(());
        };
        let noise = Noise::Random(&mut self.streams.noise);
        let phase = generator_loss(&self.networks.g, &judge.d_frozen, &ws, None, noise, None)?;
        losses.put("loss/G", number(&phase.loss)?);
        apply(
            &mut self.networks.adam_g,
            &phase.loss,
            self.config.src,
            losses,
        )
    }

    /// Path length regularisation, which is not projected.
    pub(crate) fn path_length_phase(&mut self, losses: &mut Losses) -> Result<()> {
        let config = self.config.path_length;
        let n = config.samples(self.config.batch);
        let w = self.draw_latents(n)?;
        let mut ws = latents::plain(&self.networks.g, &w)?;
        let rows = ws.dim(1)?;
        let mixing = &mut self.streams.mixing;
        if let Some(cutoff) = latents::draw_cutoff(mixing, rows, self.config.style_mixing)? {
            let z_dim = self.networks.g.config().z_dim();
            let z = normal(&mut self.streams.latents, &[n, z_dim], &self.device)?;
            ws = latents::mix(&self.networks.g, &ws, &z, None, cutoff)?;
        }
        let size = self.networks.g.config().synthesis.img_resolution;
        let channels = self.networks.g.config().synthesis.img_channels;
        let dims = [n, channels, size, size];
        let direction = normal(&mut self.streams.direction, &dims, &self.device)?;
        let noise = Noise::Random(&mut self.streams.noise);
        let g = &self.networks.g;
        let path =
            domex_replay::path_length(g, &ws, noise, &direction, &self.mean_length, &config)?;
        losses.put("loss/path_length", number(&path.loss)?);
        let gain = self.config.path_length_interval as f64 * self.config.src;
        let fine = number(&path.loss)?.is_finite();
        apply(&mut self.networks.adam_g, &path.loss, gain, losses)?;
        if fine {
            self.mean_length = path.mean;
        }
        Ok(())
    }

    /// The discriminator's adversarial phase; fakes are on the base subspace.
    pub(crate) fn discriminator_phase(&mut self, losses: &mut Losses) -> Result<()> {
        let n = self.config.batch;
        let w = self.draw_latents(n)?;
        let ws = latents::base(&self.networks.g, &w, self.objective.subspaces())?;
        let noise = Noise::Random(&mut self.streams.noise);
        let fakes = self.networks.g.synthesis().forward(&ws, noise)?.detach();
        let reals = self.reals(n)?;
        let (Some(judge), Some(reals)) = (&mut self.networks.judge, reals) else {
            return Ok(());
        };
        let fake = domex_replay::fake_loss(&judge.d, &fakes, None, None)?;
        let real = domex_replay::real_loss(&judge.d, &reals, None, None)?;
        losses.put("loss/D_fake", number(&fake.loss)?);
        losses.put("loss/D_real", number(&real.loss)?);
        apply(&mut judge.adam, &(fake.loss + real.loss)?, 1.0, losses)
    }

    /// R1 regularisation of the discriminator.
    pub(crate) fn r1_phase(&mut self, losses: &mut Losses) -> Result<()> {
        let reals = self.reals(self.config.batch)?;
        let (Some(judge), Some(reals)) = (&mut self.networks.judge, reals) else {
            return Ok(());
        };
        let r1 = domex_replay::r1(&judge.d, &reals, None, self.config.gamma, None)?;
        losses.put("loss/r1", number(&r1.loss)?);
        let gain = self.config.r1_interval as f64;
        apply(&mut judge.adam, &r1.loss, gain, losses)
    }

    /// Latents of a training step `[n, D]`, one after the other: each moves the running mean.
    fn draw_latents(&mut self, n: usize) -> Result<Tensor> {
        let z_dim = self.networks.g.config().z_dim();
        let mut rows = Vec::with_capacity(n);
        for _ in 0..n {
            let z = normal(&mut self.streams.latents, &[1, z_dim], &self.device)?;
            rows.push(latents::map(&mut self.networks.g, &z, None)?.detach());
        }
        Ok(Tensor::cat(&rows, 0)?)
    }
}

/// Standard normal numbers.
pub(crate) fn normal(stream: &mut Stream, dims: &[usize], device: &Device) -> Result<Tensor> {
    let mut values = vec![0f32; dims.iter().product()];
    stream.fill_normal(&mut values);
    Ok(Tensor::from_vec(values, dims, device)?)
}

pub(crate) fn number(x: &Tensor) -> Result<f64> {
    Ok(x.detach().to_dtype(DType::F64)?.to_scalar::<f64>()?)
}

/// Moves the parameters by the gradient of `gain` times the loss, if that is finite.
pub(crate) fn apply(adam: &mut Adam, loss: &Tensor, gain: f64, losses: &mut Losses) -> Result<()> {
    apply_but(adam, loss, gain, &[], losses)
}

/// The same for all parameters but these.
pub(crate) fn apply_but(
    adam: &mut Adam,
    loss: &Tensor,
    gain: f64,
    frozen: &[Var],
    losses: &mut Losses,
) -> Result<()> {
    if !number(loss)?.is_finite() {
        losses.not_finite.push("loss".to_owned());
        return Ok(());
    }
    let mut gradients = (loss * gain)?.backward()?;
    for var in frozen {
        gradients.remove(var);
    }
    losses.applied(adam.step(&gradients)?);
    Ok(())
}

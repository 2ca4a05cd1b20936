//! A discriminator of several domains that learns beside the generator: what methods ask of it, and its own steps.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_gan::augment::{Ada, Augment, Drawn};
use domex_gan::{DomainDiscriminator, PictureTransform, Widths};
use domex_latent::ImageDistance;
use domex_random::{Stream, Streams};
use domex_replay::correspondence;
use domex_train::adam::Adam;
use domex_train::lazy::Lazy;
use domex_train::{Measures, Parameters, State};
use serde::{Deserialize, Serialize};

use super::World;
use super::adversarial::AdversarialConfig;
use crate::method::Turn;
use crate::objective::rows;
use crate::step::number;
use crate::{Error, Result, Samples};

/// What changes from step to step, but for weights and moments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    pictures: Stream,
    changes: Stream,
    /// Of each domain.
    ada: Vec<Ada>,
    /// Steps of each domain.
    steps: Vec<u64>,
}

/// See the top of this module.
pub struct TrainedDiscriminator {
    /// Of its streams, and in a snapshot.
    name: &'static str,
    domains: Vec<String>,
    discriminator: DomainDiscriminator,
    parameters: Parameters,
    adam: Adam,
    learning_rate: f64,
    augment: Augment,
    progress: Progress,
    distance: Option<Arc<dyn ImageDistance>>,
    config: AdversarialConfig,
    device: Device,
}

impl TrainedDiscriminator {
    /// Of these domains. It begins from the source's, or at random where that has none.
    pub fn new(
        name: &'static str,
        domains: Vec<String>,
        config: AdversarialConfig,
        world: &World<'_>,
    ) -> Result<Self> {
        let distance = world.networks.distance.clone();
        if config.correspondence > 0.0 && distance.is_none() {
            return Err(Error::setting(
                "adversarial.correspondence",
                config.correspondence,
                "0, or a perceptual network",
            ));
        }
        let (seed, count) = (world.seed, domains.len());
        let discriminator = match world.discriminator {
            Some(source) => DomainDiscriminator::from_source(source, count, config.freeze_d, seed)?,
            None => {
                let widths = Widths {
                    channel_base: config.channel_base,
                    channel_max: config.channel_max,
                };
                let pictures = (world.resolution, 3);
                DomainDiscriminator::random(pictures, widths, count, seed, world.device)?
            }
        };
        let parameters = Parameters::new(discriminator.vars().clone());
        let streams = Streams::new(seed);
        Ok(Self {
            adam: Adam::new(&parameters, config.adam()?)?,
            progress: Progress {
                pictures: streams.stream(&format!("{name} pictures")),
                changes: streams.stream(&format!("{name} augmentation")),
                ada: vec![config.ada()?; count],
                steps: vec![0; count],
            },
            augment: Augment::new(config.augment.clone())?,
            learning_rate: config.adam()?.lr,
            device: world.device.clone(),
            name,
            domains,
            discriminator,
            parameters,
            distance,
            config,
        })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A change of these pictures of a domain, as strong as ADA has it; `None` for none.
    fn change(
        &self,
        domain: usize,
        pictures: &Tensor,
        stream: &mut Stream,
    ) -> Result<Option<Drawn>> {
        let p = self.progress.ada[domain].p();
        let drawn = self.augment.draw(pictures.dims4()?.into(), p, stream)?;
        Ok((!drawn.is_identity()).then_some(drawn))
    }

    /// How little the edited pictures of one domain are taken for its own, and how far their likenesses are from those of
    /// the base pictures, for each of them `[n]`.
    fn ask(
        &self,
        domain: usize,
        base: &Tensor,
        edited: &Tensor,
        stream: &mut Stream,
    ) -> Result<Tensor> {
        let drawn = self.change(domain, edited, stream)?;
        let apply = drawn.as_ref().map(|drawn| |x: &Tensor| drawn.apply(x));
        let apply = apply.as_ref().map(|apply| apply as PictureTransform<'_>);
        let said = self.discriminator.realism(edited, domain, apply)?;
        let loss = said.per_sample.flatten_all()?;
        let weight = self.config.correspondence;
        let Some(distance) = self.distance.as_deref().filter(|_| weight > 0.0) else {
            return Ok(loss);
        };
        match correspondence(edited, base, distance)? {
            Some(divergence) => Ok((loss + (divergence * weight)?)?),
            None => Ok(loss),
        }
    }

    /// Numbers of `n` pictures among `len` to be shown as true ones.
    pub fn pick(&mut self, len: usize, n: usize) -> Result<Vec<usize>> {
        let stream = &mut self.progress.pictures;
        let numbers = (0..n)
            .map(|_| stream.index(len))
            .collect::<std::result::Result<_, _>>();
        numbers.map_err(|error| Error::setting("pictures", error, "at least one"))
    }

    /// What the edited pictures of these samples lack to be taken for their domains', summed, and for each `[n]`.
    pub fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<(Tensor, Tensor)> {
        self.check(samples.tasks)?;
        let mut per_sample = vec![0f64; samples.tasks.len()];
        let mut sum: Option<Tensor> = None;
        for (domain, own) in by_domain(samples.tasks) {
            let (base, edited) = (rows(samples.base, &own)?, rows(samples.edited, &own)?);
            let loss = self.ask(domain, &base, &edited, stream)?;
            let values = loss.detach().to_dtype(DType::F64)?.to_vec1::<f64>()?;
            for (&i, value) in own.iter().zip(values) {
                per_sample[i] = value;
            }
            let loss = loss.sum_all()?;
            sum = Some(match sum {
                Some(sum) => (sum + loss)?,
                None => loss,
            });
        }
        let none = || Error::setting("samples", 0, "at least one");
        Ok((
            sum.ok_or_else(none)?,
            Tensor::new(per_sample, &self.device)?,
        ))
    }

    /// A step on each domain of these samples; `reals` gives so many true pictures of a domain.
    pub fn learn(
        &mut self,
        samples: &Samples<'_>,
        turn: &mut Turn<'_>,
        mut reals: impl FnMut(&mut Self, usize, usize) -> Result<Tensor>,
    ) -> Result<()> {
        self.check(samples.tasks)?;
        for (domain, own) in by_domain(samples.tasks) {
            let reals = reals(self, domain, own.len())?;
            self.step(domain, &rows(samples.edited, &own)?, &reals, turn)?;
        }
        Ok(())
    }

    /// A step of the discriminator on one domain.
    fn step(
        &mut self,
        domain: usize,
        fakes: &Tensor,
        reals: &Tensor,
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        let mut stream = self.progress.changes.clone();
        let drawn = [
            self.change(domain, fakes, &mut stream)?,
            self.change(domain, reals, &mut stream)?,
        ];
        self.progress.changes = stream;
        let apply = drawn
            .each_ref()
            .map(|drawn| drawn.as_ref().map(|drawn| |x: &Tensor| drawn.apply(x)));
        let [of_fakes, of_reals] = apply
            .each_ref()
            .map(|apply| apply.as_ref().map(|apply| apply as PictureTransform<'_>));
        let fake = self.discriminator.fake_loss(fakes, domain, of_fakes)?;
        let real = self.discriminator.real_loss(reals, domain, of_reals)?;
        self.put(turn, "fake", &fake.loss)?;
        self.put(turn, "real", &real.loss)?;
        self.adam.set_lr(self.learning_rate * turn.factor);
        let loss = (fake.loss + real.loss)?;
        self.adam.descend(&loss, 1.0, &[], turn.losses)?;

        let lazy = Lazy::new(self.config.r1_interval)?;
        if self.config.gamma > 0.0 && lazy.due(self.progress.steps[domain]) {
            let gamma = self.config.gamma;
            let r1 = self.discriminator.r1(reals, domain, gamma, of_reals)?;
            self.put(turn, "r1", &r1.loss)?;
            self.adam.descend(&r1.loss, lazy.gain(), &[], turn.losses)?;
        }
        self.progress.steps[domain] += 1;
        let ada = &mut self.progress.ada[domain];
        ada.observe(&real.logits)?;
        ada.step(fakes.dim(0)?);
        Ok(())
    }

    /// Reports a loss.
    fn put(&self, turn: &mut Turn<'_>, what: &str, loss: &Tensor) -> Result<()> {
        let name = format!("{}/{what}", self.name);
        turn.losses.put(&name, number(loss)?);
        Ok(())
    }

    fn check(&self, tasks: &[usize]) -> Result<()> {
        match tasks.iter().find(|&&task| task >= self.domains.len()) {
            None => Ok(()),
            Some(task) => {
                let expected = format!("below {}", self.domains.len());
                Err(Error::setting("task number", task, expected))
            }
        }
    }

    /// What a tick reports of it.
    pub fn measures(&self, measures: &mut Measures) {
        for (name, ada) in self.domains.iter().zip(&self.progress.ada) {
            measures.values.push((format!("augment/p/{name}"), ada.p()));
            let sign = ada.sign();
            let sign = sign.map(|sign| (format!("augment/sign/{name}"), sign));
            measures.values.extend(sign);
        }
    }

    /// Puts it into a snapshot.
    pub fn save(&self, state: &mut State) -> Result<()> {
        let name = self.name;
        state.put_parameters(&format!("{name}.discriminator."), &self.parameters)?;
        self.adam.save(&format!("{name}.adam."), state)?;
        Ok(state.put(name, &self.progress)?)
    }

    /// Takes it back.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        let name = self.name;
        let progress: Progress = state.get(name)?;
        let domains = self.domains.len();
        if progress.ada.len() != domains || progress.steps.len() != domains {
            let found = progress.steps.len();
            let what = "domains of the snapshot's discriminator";
            return Err(Error::setting(what, found, domains.to_string()));
        }
        state.load_parameters(&format!("{name}.discriminator."), &self.parameters)?;
        self.adam.restore(&format!("{name}.adam."), state)?;
        self.progress = progress;
        Ok(())
    }
}

/// Each domain that occurs, with the places of its samples, in the order of their first ones.
fn by_domain(tasks: &[usize]) -> Vec<(usize, Vec<usize>)> {
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    for (i, &task) in tasks.iter().enumerate() {
        match groups.iter_mut().find(|(domain, _)| *domain == task) {
            Some((_, own)) => own.push(i),
            None => groups.push((task, vec![i])),
        }
    }
    groups
}

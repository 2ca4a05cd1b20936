//! A discriminator of several domains that learns beside the generator: what methods ask of it, and its own steps.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_gan::augment::{Ada, Augment, Drawn, Signs};
use domex_gan::{DomainDiscriminator, PictureTransform, Widths};
use domex_latent::ImageDistance;
use domex_random::{Stream, Streams};
use domex_replay::correspondence::{self, correspondence};
use domex_train::accumulate::Accumulator;
use domex_train::adam::Adam;
use domex_train::lazy::Lazy;
use domex_train::{Measures, Parameters, State};
use serde::{Deserialize, Serialize};

use super::World;
use super::adversarial::AdversarialConfig;
use crate::method::{Shown, Turn};
use crate::objective::rows;
use crate::{Config, Error, Result, Samples};

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
        check_correspondence(&config, world.config)?;
        let (seed, count) = (world.seed, domains.len());
        let discriminator = match world.discriminator {
            Some(source) => DomainDiscriminator::from_source(source, count, config.freeze_d, seed)?,
            None => {
                let widths = Widths {
                    channel_base: config.channel_base,
                    channel_max: config.channel_max,
                };
                let pictures = (world.resolution, 3);
                let begun =
                    DomainDiscriminator::random(pictures, widths, count, seed, world.device)?;
                match world.config.low_memory {
                    true => begun.recomputed(),
                    false => begun,
                }
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
        let say = |change: Change<'_>| self.discriminator.realism(edited, domain, change);
        let said = changed(drawn.as_ref(), say)?;
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

    /// A step on each domain of these passes; `reals` draws so many true pictures of a domain.
    pub fn learn(
        &mut self,
        passes: &[Shown],
        turn: &mut Turn<'_>,
        reals: impl Fn(&mut Stream, usize, usize) -> Result<Tensor>,
    ) -> Result<()> {
        let tasks: Vec<usize> = passes.iter().flat_map(|pass| pass.tasks.clone()).collect();
        self.check(&tasks)?;
        for (domain, own) in by_domain(&tasks) {
            let batches = self.batches(domain, own.len(), passes, &reals)?;
            self.step(domain, &batches, turn)?;
            self.regularise(domain, &batches, turn)?;
            self.progress.steps[domain] += 1;
            self.progress.ada[domain].step(own.len());
        }
        Ok(())
    }

    /// What each pass shows of a domain, which has so many samples in the step; `None` of one that has none of it or is another
    /// rank's.
    fn batches(
        &mut self,
        domain: usize,
        samples: usize,
        passes: &[Shown],
        reals: &impl Fn(&mut Stream, usize, usize) -> Result<Tensor>,
    ) -> Result<Vec<Option<Batch>>> {
        let mut batches = Vec::with_capacity(passes.len());
        for pass in passes {
            // Streams of its own, as in the generator's step.
            let mut streams = match passes.len() {
                1 => (
                    self.progress.pictures.clone(),
                    self.progress.changes.clone(),
                ),
                _ => (self.progress.pictures.fork(), self.progress.changes.fork()),
            };
            let own = (0..pass.tasks.len()).filter(|&at| pass.tasks[at] == domain);
            let own: Vec<usize> = own.collect();
            let edited = pass.edited.as_ref().filter(|_| !own.is_empty());
            let batch = edited.map(|edited| -> Result<Batch> {
                let fakes = rows(edited, &own)?;
                let reals = reals(&mut streams.0, domain, own.len())?;
                Ok(Batch {
                    changes: [
                        self.change(domain, &fakes, &mut streams.1)?,
                        self.change(domain, &reals, &mut streams.1)?,
                    ],
                    share: own.len() as f64 / samples as f64,
                    fakes,
                    reals,
                })
            });
            batches.push(batch.transpose()?);
            if passes.len() == 1 {
                (self.progress.pictures, self.progress.changes) = streams;
            }
        }
        Ok(batches)
    }

    /// A step of the discriminator on one domain, and what it says of true pictures for ADA.
    fn step(
        &mut self,
        domain: usize,
        batches: &[Option<Batch>],
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        let mut sum = Accumulator::shared(turn.team, batches.len()).of(&self.adam);
        for (index, batch) in batches.iter().enumerate() {
            let (true, Some(batch)) = (sum.begin(index), batch) else {
                continue;
            };
            let [of_fakes, of_reals] = batch.changes.each_ref().map(Option::as_ref);
            let own = &self.discriminator;
            let fake = changed(of_fakes, |t| own.fake_loss(&batch.fakes, domain, t))?;
            sum.add(&self.called("fake"), &fake.loss, batch.share, 1.0)?;
            // One graph at a time.
            drop(fake);
            let real = changed(of_reals, |t| own.real_loss(&batch.reals, domain, t))?;
            sum.add(&self.called("real"), &real.loss, batch.share, 1.0)?;
            let signs = Signs::of(&real.logits)?;
            sum.carry(SIGNS, signs.sum);
            sum.carry(COUNT, signs.count as f64);
        }
        sum.exchange()?;
        self.progress.ada[domain].note(Signs {
            sum: sum.carried(SIGNS),
            count: sum.carried(COUNT) as u64,
        });
        self.adam.set_lr(self.learning_rate * turn.factor);
        Ok(sum.apply(&mut self.adam, &[], turn.losses)?)
    }

    /// R1 on one domain, where it is due.
    fn regularise(
        &mut self,
        domain: usize,
        batches: &[Option<Batch>],
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        let (gamma, lazy) = (self.config.gamma, Lazy::new(self.config.r1_interval)?);
        if gamma == 0.0 || !lazy.due(self.progress.steps[domain]) {
            return Ok(());
        }
        let mut sum = Accumulator::shared(turn.team, batches.len()).of(&self.adam);
        for (index, batch) in batches.iter().enumerate() {
            let (true, Some(batch)) = (sum.begin(index), batch) else {
                continue;
            };
            let own = &self.discriminator;
            let r1 = |t: Change<'_>| own.r1(&batch.reals, domain, gamma, t);
            let r1 = changed(batch.changes[1].as_ref(), r1)?;
            sum.add(&self.called("r1"), &r1.loss, batch.share, lazy.gain())?;
        }
        Ok(sum.apply(&mut self.adam, &[], turn.losses)?)
    }

    /// What a loss is reported as.
    fn called(&self, what: &str) -> String {
        format!("{}/{what}", self.name)
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
            measures.values.push((augmentation(name), ada.p()));
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

/// Refuses a weight of correspondence that was asked for and has too few pictures in a pass to compare; of the default one, which
/// nobody asked for, a notice is enough.
fn check_correspondence(config: &AdversarialConfig, run: &Config) -> Result<()> {
    let (key, weight) = ("adversarial.correspondence", config.correspondence);
    let checked = run.check_compared(key, weight, correspondence::FEWEST);
    match &checked {
        Err(why) if weight == AdversarialConfig::default().correspondence => {
            tracing::warn!("it counts for nothing: {why}");
            Ok(())
        }
        _ => checked,
    }
}

/// What the discriminator is shown of a domain in one pass, and its share of the step.
struct Batch {
    fakes: Tensor,
    reals: Tensor,
    /// Of either.
    changes: [Option<Drawn>; 2],
    share: f64,
}

/// The measure of a domain that has a discriminator: how likely its pictures are changed.
pub(crate) fn augmentation(domain: &str) -> String {
    format!("augment/p/{domain}")
}

/// What passes tell one another for ADA.
const SIGNS: &str = "signs";
const COUNT: &str = "count";

/// A change of what the discriminator is shown.
type Change<'a> = Option<PictureTransform<'a>>;

/// What is said by `say` of pictures that are changed so.
fn changed<T>(drawn: Option<&Drawn>, say: impl FnOnce(Change<'_>) -> T) -> T {
    match drawn {
        None => say(None),
        Some(drawn) => say(Some(&|x: &Tensor| drawn.apply(x))),
    }
}

/// Numbers of `n` pictures among `len` to be shown as true ones.
pub fn pick(stream: &mut Stream, len: usize, n: usize) -> Result<Vec<usize>> {
    let numbers = (0..n)
        .map(|_| stream.index(len))
        .collect::<std::result::Result<_, _>>();
    numbers.map_err(|error| Error::setting("pictures", error, "at least one"))
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

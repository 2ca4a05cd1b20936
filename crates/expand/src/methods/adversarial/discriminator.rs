//! The generator's loss by a discriminator, and the discriminator's own steps.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_gan::augment::{Ada, Augment, Drawn};
use domex_gan::{DomainDiscriminator, PictureTransform};
use domex_latent::ImageDistance;
use domex_random::Stream;
use domex_replay::correspondence;
use domex_train::adam::Adam;
use domex_train::lazy::Lazy;
use domex_train::{Measures, Parameters, State};
use serde::{Deserialize, Serialize};

use super::{Adversarial, AdversarialConfig};
use crate::method::Turn;
use crate::methods::Kind as _;
use crate::objective::rows;
use crate::step::number;
use crate::{Error, LossPart, Method, Result, Samples};

/// A domain and its pictures.
pub(super) struct Domain {
    pub name: String,
    pub pictures: Arc<dyn PictureSource>,
}

/// What changes from step to step, but for weights and moments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    pub pictures: Stream,
    pub changes: Stream,
    /// Of each domain.
    pub ada: Vec<Ada>,
    /// Steps of each domain.
    pub steps: Vec<u64>,
}

/// Names in a snapshot.
const PROGRESS: &str = "adversarial";
const WEIGHTS: &str = "adversarial.discriminator.";
const MOMENTS: &str = "adversarial.adam.";

/// See the [module docs](super).
pub struct ByDiscriminator {
    pub(super) discriminator: DomainDiscriminator,
    pub(super) parameters: Parameters,
    pub(super) adam: Adam,
    pub(super) learning_rate: f64,
    pub(super) augment: Augment,
    pub(super) domains: Vec<Domain>,
    pub(super) progress: Progress,
    pub(super) distance: Option<Arc<dyn ImageDistance>>,
    pub(super) config: AdversarialConfig,
    pub(super) device: Device,
}

impl ByDiscriminator {
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

    /// `n` pictures of a domain `[n, 3, h, w]`.
    fn draw(&mut self, domain: usize, n: usize) -> Result<Tensor> {
        let pictures = &*self.domains[domain].pictures;
        let len = usize::try_from(pictures.len()).unwrap_or(usize::MAX);
        let stream = &mut self.progress.pictures;
        let numbers = (0..n).map(|_| Ok(stream.index(len)? as u64));
        let numbers: std::result::Result<Vec<u64>, domex_random::Error> = numbers.collect();
        let numbers = numbers.map_err(|error| Error::setting("pictures", error, "at least one"))?;
        let (pictures, _) = source::batch(pictures, &numbers)?;
        Ok(picture::from_rgb(&pictures, DType::F32, &self.device)?)
    }

    /// A step of the discriminator on one domain.
    fn step(&mut self, domain: usize, fakes: &Tensor, turn: &mut Turn<'_>) -> Result<()> {
        let n = fakes.dim(0)?;
        let reals = self.draw(domain, n)?;
        let mut stream = self.progress.changes.clone();
        let drawn = [
            self.change(domain, fakes, &mut stream)?,
            self.change(domain, &reals, &mut stream)?,
        ];
        self.progress.changes = stream;
        let apply = drawn
            .each_ref()
            .map(|drawn| drawn.as_ref().map(|drawn| |x: &Tensor| drawn.apply(x)));
        let [of_fakes, of_reals] = apply
            .each_ref()
            .map(|apply| apply.as_ref().map(|apply| apply as PictureTransform<'_>));
        let fake = self.discriminator.fake_loss(fakes, domain, of_fakes)?;
        let real = self.discriminator.real_loss(&reals, domain, of_reals)?;
        turn.losses.put("adversarial/fake", number(&fake.loss)?);
        turn.losses.put("adversarial/real", number(&real.loss)?);
        self.adam.set_lr(self.learning_rate * turn.factor);
        let loss = (fake.loss + real.loss)?;
        self.adam.descend(&loss, 1.0, &[], turn.losses)?;

        let lazy = Lazy::new(self.config.r1_interval)?;
        if self.config.gamma > 0.0 && lazy.due(self.progress.steps[domain]) {
            let gamma = self.config.gamma;
            let r1 = self.discriminator.r1(&reals, domain, gamma, of_reals)?;
            turn.losses.put("adversarial/r1", number(&r1.loss)?);
            self.adam.descend(&r1.loss, lazy.gain(), &[], turn.losses)?;
        }
        self.progress.steps[domain] += 1;
        let ada = &mut self.progress.ada[domain];
        ada.observe(&real.logits)?;
        ada.step(n);
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
}

impl Method for ByDiscriminator {
    fn name(&self) -> &str {
        Adversarial.name()
    }

    fn wants_one_task(&self) -> bool {
        true
    }

    fn is_measured_by_what_it_trains(&self) -> bool {
        true
    }

    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<LossPart> {
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
        Ok(LossPart {
            total: sum.ok_or_else(none)?,
            per_sample: Tensor::new(per_sample, &self.device)?,
        })
    }

    fn learn(&mut self, samples: &Samples<'_>, turn: &mut Turn<'_>) -> Result<()> {
        self.check(samples.tasks)?;
        for (domain, own) in by_domain(samples.tasks) {
            self.step(domain, &rows(samples.edited, &own)?, turn)?;
        }
        Ok(())
    }

    fn measures(&self, measures: &mut Measures) {
        for (domain, ada) in self.domains.iter().zip(&self.progress.ada) {
            let name = &domain.name;
            measures.values.push((format!("augment/p/{name}"), ada.p()));
            let sign = ada.sign();
            let sign = sign.map(|sign| (format!("augment/sign/{name}"), sign));
            measures.values.extend(sign);
        }
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.put_parameters(WEIGHTS, &self.parameters)?;
        self.adam.save(MOMENTS, state)?;
        Ok(state.put(PROGRESS, &self.progress)?)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let progress: Progress = state.get(PROGRESS)?;
        let domains = self.domains.len();
        if progress.ada.len() != domains || progress.steps.len() != domains {
            let found = progress.steps.len();
            let what = "domains of the snapshot's discriminator";
            return Err(Error::setting(what, found, domains.to_string()));
        }
        state.load_parameters(WEIGHTS, &self.parameters)?;
        self.adam.restore(MOMENTS, state)?;
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

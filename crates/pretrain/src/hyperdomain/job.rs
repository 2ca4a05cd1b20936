//! The run.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Overwrite;
use domex_clip::{Prompts, TextMeans, unit_length};
use domex_hyperdomain::augment::{self, Draws};
use domex_hyperdomain::file::{self, Purpose};
use domex_hyperdomain::{Hypernetwork, Offsets, init, is_statistic, modulation};
use domex_nada::Guide;
use domex_nada::direction::{Guard, along};
use domex_nada::pairs::{Pairs, in_domain_angle, target_direction};
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, Noise};
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde_json::json;

use super::measure;
use super::{Augmentation, HyperdomainConfig};
use crate::domains::{self, Terms};
use crate::init::Tensors;
use crate::trainer::Trainer;
use crate::{Error, Result};

/// How statistics are called in a snapshot.
const STATISTICS: &str = "statistics.";

/// Texts as one CLIP model sees them, at length 1.
#[derive(Debug, Clone)]
pub(super) struct Embedded {
    /// `[1, d]`.
    pub source: Tensor,
    /// `[texts, d]`.
    pub targets: Tensor,
}

impl Embedded {
    fn new(guide: &Guide, source: &str, texts: &[String], device: &Device) -> Result<Self> {
        let means = TextMeans::new(&guide.clip, &guide.tokenizer, None)?;
        let templates = Prompts::imagenet();
        let one = |text: &str| -> Result<Tensor> {
            let mean = means.mean(&templates, text)?.unsqueeze(0)?;
            Ok(unit_length(&mean)?
                .to_dtype(DType::F32)?
                .to_device(device)?)
        };
        let targets: Vec<Tensor> = texts.iter().map(|text| one(text)).collect::<Result<_>>()?;
        Ok(Self {
            source: one(source)?,
            targets: Tensor::cat(&targets, 0)?,
        })
    }
}

/// A hypernetwork in training. See [`super`].
pub struct HyperdomainJob {
    pub(super) config: HyperdomainConfig,
    pub(super) generator: Generator,
    pub(super) guides: Vec<Guide>,
    /// Trained texts, then those that are only measured, by each CLIP model.
    pub(super) embedded: Vec<Embedded>,
    purpose: Purpose,
    trainer: Trainer,
    stream: Stream,
}

impl HyperdomainJob {
    /// A new one. The network reads embeddings of the first of `guides`; `generator` and `clip` are hashes that go into its file.
    ///
    /// # Errors
    ///
    /// Settings out of range; a network that is not for this generator or for these embeddings.
    pub fn new(
        config: HyperdomainConfig,
        generator: Generator,
        guides: Vec<Guide>,
        [generator_hash, clip_hash]: [String; 2],
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let Some(first) = guides.first() else {
            return Err(Error::config("number of CLIP models", 0, "at least 1"));
        };
        let width = first.clip.config().embed_dim;
        if config.network.width != width {
            let expected = format!("{width}, the length of the CLIP model's embeddings");
            return Err(Error::config(
                "width of the network",
                config.network.width,
                expected,
            ));
        }
        let convolutions = modulation::convolutions(&generator);
        if config.network.convolutions != convolutions {
            let found = format!("{} convolutions", config.network.convolutions.len());
            return Err(Error::config("network", found, "the generator's own"));
        }
        let texts: Vec<String> = config.texts.iter().chain(&config.unseen).cloned().collect();
        let embedded = guides
            .iter()
            .map(|guide| Embedded::new(guide, &config.source, &texts, device))
            .collect::<Result<_>>()?;
        let streams = Streams::new(config.seed);
        let tensors: Tensors = init(&config.network, &mut streams.stream("hypernetwork"))?;
        let purpose = Purpose {
            generator: generator_hash,
            clip: clip_hash,
            source: config.source.clone(),
            texts: config.texts.clone(),
        };
        Ok(Self {
            trainer: Trainer::new(tensors, is_statistic, config.learning, device)?,
            stream: streams.stream("domains"),
            config,
            generator,
            guides,
            embedded,
            purpose,
        })
    }

    /// The network as it is now.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn network(&self) -> Result<Hypernetwork> {
        Ok(Hypernetwork::new(
            &self.trainer.trainable(),
            &self.config.network,
        )?)
    }

    pub(super) fn device(&self) -> &Device {
        self.trainer.device()
    }

    /// What the network reads, and sources and targets `[n, d]` of each CLIP model in the loss, for texts of these numbers.
    fn embeddings(&mut self, texts: &[u32]) -> Result<(Tensor, Vec<[Tensor; 2]>)> {
        let device = self.device().clone();
        let (n, rows) = (texts.len(), Tensor::new(texts, &device)?);
        let of = |embedded: &Embedded| -> Result<[Tensor; 2]> {
            let source = embedded.source.broadcast_as((n, embedded.source.dim(1)?))?;
            Ok([
                source.contiguous()?,
                embedded.targets.index_select(&rows, 0)?,
            ])
        };
        if self.config.augmentation == Augmentation::None {
            let all = self.embedded.iter().map(of).collect::<Result<Vec<_>>>()?;
            return Ok((all[0][1].clone(), all));
        }
        let [source, target] = of(&self.embedded[0])?;
        let weights = augment::weights(n, &mut self.stream)?.to_device(&device)?;
        let input = augment::hull(&target, &weights)?;
        let draws = Draws::new(n, input.dim(1)?, &mut self.stream)?;
        let target = augment::resample(&input, &draws, self.config.cosine)?;
        Ok((input, vec![[source, target]]))
    }

    /// The same latents in the domains of these embeddings, a domain for each.
    pub(super) fn edited(&self, ws: &Tensor, domains: &[Offsets]) -> Result<Tensor> {
        let network = &self.config.network;
        let changes = modulation::modulations(network.modulation, &network.convolutions, domains)?;
        let synthesis = self.generator.synthesis();
        Ok(synthesis.forward_modulated(ws, &changes, Noise::Const)?)
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let n = self.config.learning.batch;
        let count = self.config.texts.len();
        let texts = (0..n).map(|_| Ok(self.stream.index(count)? as u32));
        let texts = texts.collect::<Result<Vec<u32>>>()?;
        let z = domains::draw(&self.generator, n, &mut self.stream);
        let ws = domains::latents(&self.generator, z, self.device())?;
        let base = self
            .generator
            .synthesis()
            .forward(&ws, Noise::Const)?
            .detach();
        let (input, sides) = self.embeddings(&texts)?;
        let (domains, statistics) = self.network()?.forward_train(&input)?;
        let edited = self.edited(&ws, &domains)?;
        let (_, _, h, w) = edited.dims4()?;
        let view = self.config.augment.draw(&mut self.stream, [n, h, w])?;
        let [base, seen] = [view.apply(&base)?, view.apply(&edited)?];

        let weights = self.config.weights;
        let is_mixed = self.config.augmentation != Augmentation::None;
        let apart = Pairs::new(n, |i, j| is_mixed || texts[i] != texts[j]);
        let alike = Pairs::new(n, |i, j| !is_mixed && texts[i] == texts[j]);
        let mut terms = Terms::new(self.device())?;
        for (guide, [source, target]) in self.guides.iter().zip(&sides) {
            let base = unit_length(&guide.features(&base)?)?.detach();
            let edited = unit_length(&guide.features(&seen)?)?;
            let step = (target - source)?;
            let direction = along(&(&edited - &base)?, &step, Guard::default())?.mean_all()?;
            let target_direction = target_direction(&edited, target, &apart)?;
            let in_domain = in_domain_angle(&base, &edited, &alike)?;
            let by = guide.weight;
            terms.add("direction", weights.direction * by, &direction)?;
            terms.add(
                "target_direction",
                weights.target_direction * by,
                &target_direction,
            )?;
            terms.add("in_domain", weights.in_domain * by, &in_domain)?;
        }
        let layers: Vec<Tensor> = domains.iter().flat_map(|d| d.values().cloned()).collect();
        terms.add(
            "norm",
            weights.norm,
            &domex_nada::offsets::squared(&layers)?,
        )?;
        let (total, mut losses) = terms.finish()?;
        let step = self.trainer.descend(&total, at)?;
        if !matches!(step, domex_train::adam::Step::Skipped(_)) {
            self.trainer.set_fixed(statistics);
        }
        losses.applied(step);
        Ok(losses)
    }
}

impl Job for HyperdomainJob {
    fn batch(&self) -> usize {
        self.config.learning.batch
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        Ok(self.descend(at)?)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put("domains", &self.stream)?;
        for (name, tensor) in self.trainer.fixed() {
            state.put_tensor(&format!("{STATISTICS}{name}"), tensor)?;
        }
        Ok(self.trainer.save(state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.stream = state.get("domains")?;
        let device = self.device().clone();
        let names: Vec<String> = self.trainer.fixed().keys().cloned().collect();
        let statistics = names.into_iter().map(|name| {
            let tensor = state.tensor(&format!("{STATISTICS}{name}"), &device)?;
            Ok((name, tensor))
        });
        let statistics = statistics.collect::<domex_train::Result<Tensors>>()?;
        self.trainer.set_fixed(statistics);
        Ok(self.trainer.restore(state)?)
    }

    fn writes(&self, name: &str) -> bool {
        name.starts_with("domains") && name.ends_with(".png")
    }

    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        Ok(measure::tick(self, at, folder)?)
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        let provenance = json!({ "settings": self.config, "images": at.images });
        let mut tensors = self.trainer.trainable_tensors();
        tensors.extend(self.trainer.fixed().clone());
        Ok(file::write(
            path,
            &self.config.network,
            &self.purpose,
            &tensors,
            &provenance,
            Overwrite::Replace,
        )?)
    }
}

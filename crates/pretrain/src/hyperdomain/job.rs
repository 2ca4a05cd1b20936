//! The run.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Overwrite;
use domex_clip::{Prompts, TextMeans, unit_length};
use domex_data::picture::from_rgb;
use domex_hyperdomain::augment::{self, Draws};
use domex_hyperdomain::file::{self, Purpose};
use domex_hyperdomain::{Hypernetwork, Offsets, init, is_statistic, modulation};
use domex_lpips::Lpips;
use domex_nada::Guide;
use domex_nada::direction::{COSINE_EPS, Guard, along, cosine};
use domex_nada::pairs::{Pairs, in_domain_angle, target_direction};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, Noise};
use domex_train::memory::Held;
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde_json::json;

use super::measure;
use super::{Augmentation, HyperdomainConfig, TextPictures};
use crate::domains::{self, Terms};
use crate::init::Tensors;
use crate::trainer::{self, Learning, Trainer};
use crate::{Error, Result};

/// What a step learns from, a row for each of its texts.
struct Batch {
    texts: Vec<u32>,
    ws: Tensor,
    /// What the first rows should look like, `[known, 3, h, w]`; the others are known by CLIP alone.
    known: Option<Tensor>,
    /// What the network reads.
    input: Tensor,
    /// Source and target `[n, d]` of each CLIP model in the loss.
    sides: Vec<[Tensor; 2]>,
}

impl Batch {
    /// How many rows are known by a picture.
    fn count(&self) -> Result<usize> {
        Ok(self.known.as_ref().map_or(Ok(0), |known| known.dim(0))?)
    }
}

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

/// Frozen networks that say what a domain should look like, and what is known of it.
pub struct Networks {
    /// CLIP models, at least one: the network reads embeddings of the first. Others are asked without augmentation only.
    pub guides: Vec<Guide>,
    /// Pictures of the texts, if there are any: half of each batch is learnt by them.
    pub pictures: Option<Box<dyn TextPictures>>,
    /// How far a picture is from the one that should come out.
    pub perceptual: Option<Lpips>,
}

/// A hypernetwork in training. See [`super`].
pub struct HyperdomainJob {
    pub(super) config: HyperdomainConfig,
    pub(super) generator: Generator,
    pub(super) networks: Networks,
    /// Trained texts, then those that are only measured, by each CLIP model.
    pub(super) embedded: Vec<Embedded>,
    purpose: Purpose,
    trainer: Trainer,
    stream: Stream,
}

impl HyperdomainJob {
    /// A new one. `generator` and `clip`, of the first CLIP model, are hashes that go into its file.
    ///
    /// # Errors
    ///
    /// Settings out of range; a network that is not for this generator or for these embeddings.
    pub fn new(
        config: HyperdomainConfig,
        generator: Generator,
        networks: Networks,
        [generator_hash, clip_hash]: [String; 2],
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let Some(first) = networks.guides.first() else {
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
        let embedded = networks
            .guides
            .iter()
            .map(|guide| Embedded::new(guide, &config.source, &texts, device))
            .collect::<Result<_>>()?;
        let streams = Streams::new(config.seed);
        let tensors: Tensors = init(&config.network, &mut streams.stream("hypernetwork"))?;
        // Statistics of its batch normalisation are those of the weights as they are.
        let learning = Learning {
            ema_kimg: None,
            ..config.learning
        };
        let purpose = Purpose {
            generator: generator_hash,
            clip: clip_hash,
            source: config.source.clone(),
            texts: config.texts.clone(),
        };
        Ok(Self {
            trainer: Trainer::new(tensors, is_statistic, learning, device)?,
            stream: streams.stream("domains"),
            config,
            generator,
            networks,
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

    /// What the network reads, and sources and targets `[n, d]` of each CLIP model in the loss, for texts of these numbers. The
    /// first `known` are left as they are.
    fn embeddings(&mut self, texts: &[u32], known: usize) -> Result<(Tensor, Vec<[Tensor; 2]>)> {
        let device = self.device().clone();
        let (n, rows) = (texts.len(), Tensor::new(texts, &Device::Cpu)?);
        let rows = upload(&rows, &device)?;
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
        let mixed = n - known;
        let weights = augment::weights(mixed, &mut self.stream)?;
        let weights = upload(&weights, &device)?;
        let hull = augment::hull(&target.narrow(0, known, mixed)?, &weights)?;
        let draws = Draws::new(mixed, hull.dim(1)?, &mut self.stream)?;
        let around = augment::resample(&hull, &draws, self.config.cosine)?;
        let kept = target.narrow(0, 0, known)?;
        let input = Tensor::cat(&[&kept, &hull], 0)?;
        let target = Tensor::cat(&[&kept, &around], 0)?;
        Ok((input, vec![[source, target]]))
    }

    /// The same latents in the domains of these embeddings, a domain for each.
    pub(super) fn edited(&self, ws: &Tensor, domains: &[Offsets]) -> Result<Tensor> {
        let network = &self.config.network;
        let changes = modulation::modulations(network.modulation, &network.convolutions, domains)?;
        let synthesis = self.generator.synthesis();
        Ok(synthesis.forward_modulated(ws, &changes, Noise::Const)?)
    }

    fn batch_of_texts(&mut self) -> Result<Batch> {
        let n = self.config.learning.batch;
        let count = self.config.texts.len();
        let texts = (0..n).map(|_| Ok(self.stream.index(count)? as u32));
        let texts = texts.collect::<Result<Vec<u32>>>()?;
        let (mut z, mut known) = (Vec::new(), Vec::new());
        if let Some(pictures) = &self.networks.pictures {
            for text in &texts[..n / 2] {
                let (picture, latent) = pictures.draw(*text as usize, &mut self.stream)?;
                known.push(picture);
                z.extend(latent);
            }
        }
        let rest = n - known.len();
        z.extend(domains::draw(&self.generator, rest, &mut self.stream));
        let (input, sides) = self.embeddings(&texts, known.len())?;
        let device = self.device();
        Ok(Batch {
            ws: domains::latents(&self.generator, z, device)?,
            known: match known.is_empty() {
                true => None,
                false => {
                    let known = from_rgb(&known, DType::F32, &Device::Cpu)?;
                    Some(upload(&known, device)?)
                }
            },
            texts,
            input,
            sides,
        })
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let batch = self.batch_of_texts()?;
        let synthesis = self.generator.synthesis();
        let base = synthesis.forward(&batch.ws, Noise::Const)?.detach();
        let (domains, statistics) = self.network()?.forward_train(&batch.input)?;
        let edited = self.edited(&batch.ws, &domains)?;
        let mut terms = Terms::new(self.device())?;
        self.by_clip(&mut terms, &batch, [&base, &edited])?;
        self.by_pictures(&mut terms, &batch, &edited)?;
        let layers: Vec<Tensor> = domains.iter().flat_map(|d| d.values().cloned()).collect();
        let norm = domex_nada::offsets::squared(&layers)?;
        terms.add("norm", self.config.weights.norm, &norm)?;
        let (total, mut losses) = terms.finish()?;
        let step = self.trainer.descend(&total, at)?;
        if !matches!(step, domex_train::adam::Step::Skipped(_)) {
            self.trainer.set_fixed(statistics);
        }
        losses.applied(step);
        Ok(losses)
    }

    /// The terms by CLIP, of base pictures and edited ones.
    fn by_clip(
        &mut self,
        terms: &mut Terms,
        batch: &Batch,
        [base, edited]: [&Tensor; 2],
    ) -> Result<()> {
        let weights = self.config.weights;
        let (n, known) = (batch.texts.len(), batch.count()?);
        let (_, _, h, w) = edited.dims4()?;
        let view = self.config.augment.draw(&mut self.stream, [n, h, w])?;
        let wanted = match &batch.known {
            // Views are drawn for all rows; those without a picture are not looked at.
            Some(pictures) => {
                let rest = base.narrow(0, known, n - known)?;
                Some(view.apply(&Tensor::cat(&[pictures, &rest], 0)?)?)
            }
            None => None,
        };
        let [base, seen] = [view.apply(base)?, view.apply(edited)?];
        let is_mixed = |i| self.config.augmentation != Augmentation::None && i >= known;
        let is_one =
            |i: usize, j: usize| !is_mixed(i) && !is_mixed(j) && batch.texts[i] == batch.texts[j];
        let apart = Pairs::new(n, |i, j| !is_one(i, j));
        let alike = Pairs::new(n, is_one);
        for (guide, [source, target]) in self.networks.guides.iter().zip(&batch.sides) {
            let base = unit_length(&guide.features(&base)?)?.detach();
            let edited = unit_length(&guide.features(&seen)?)?;
            let step = (target - source)?;
            let direction = along(&(&edited - &base)?, &step, Guard::default())?.mean_all()?;
            let by = guide.weight;
            terms.add("direction", weights.direction * by, &direction)?;
            let differ = target_direction(&edited, target, &apart)?;
            terms.add("target_direction", weights.target_direction * by, &differ)?;
            let angle = in_domain_angle(&base, &edited, &alike)?;
            terms.add("in_domain", weights.in_domain * by, &angle)?;
            if let Some(wanted) = &wanted {
                let wanted = guide.features(&wanted.narrow(0, 0, known)?)?;
                let wanted = unit_length(&wanted)?.detach();
                let own = edited.narrow(0, 0, known)?;
                let far = (1.0 - cosine(&own, &wanted, Guard::Floor(COSINE_EPS))?)?.mean_all()?;
                terms.add("reconstruction", weights.reconstruction * by, &far)?;
            }
        }
        Ok(())
    }

    /// The terms by how far edited pictures are from those that should come out.
    fn by_pictures(&self, terms: &mut Terms, batch: &Batch, edited: &Tensor) -> Result<()> {
        let (Some(pictures), weights) = (&batch.known, self.config.weights) else {
            return Ok(());
        };
        let edited = edited.narrow(0, 0, pictures.dim(0)?)?;
        domains::by_pictures(
            terms,
            self.networks.perceptual.as_ref(),
            [weights.perceptual, weights.squares],
            [pictures, &edited],
        )
    }
}

impl Job for HyperdomainJob {
    fn batch(&self) -> usize {
        self.config.learning.batch
    }

    fn held(&self) -> Option<Held> {
        trainer::held(&self.generator, self.batch())
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

//! The run.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Overwrite;
use domex_clip::unit_length;
use domex_data::picture::from_rgb;
use domex_degan::file::{self, Purpose};
use domex_degan::{Encoder, VggLoss, stylespace};
use domex_lpips::Lpips;
use domex_nada::Guide;
use domex_nada::direction::{COSINE_EPS, Guard, along, cosine};
use domex_nada::offsets::squared;
use domex_nada::pairs::{Pairs, in_domain_angle, target_direction};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, Noise};
use domex_train::memory::Held;
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use image::RgbImage;
use serde_json::json;

use super::measure;
use super::{DeganConfig, Style, Styles};
use crate::domains::{self, Terms};
use crate::init::{Begin, Tensors, draw};
use crate::trainer::{self, Trainer};
use crate::{Error, Result};

/// Pictures that stand for the generator's own.
const OWN: usize = 16;

/// Frozen networks that say what a domain should look like.
pub struct Networks {
    /// CLIP models, at least one.
    pub guides: Vec<Guide>,
    /// How far a picture is from the one that should come out.
    pub perceptual: Option<Lpips>,
    /// How far its features or styles are.
    pub vgg: Option<VggLoss>,
}

/// A domain encoder in training. See [`super`].
pub struct DeganJob {
    pub(super) config: DeganConfig,
    pub(super) generator: Generator,
    pub(super) styles: Box<dyn Styles>,
    pub(super) networks: Networks,
    /// What the generator's own pictures are to each CLIP model, `[1, d]`.
    pub(super) own: Vec<Tensor>,
    purpose: Purpose,
    trainer: Trainer,
    stream: Stream,
}

/// Pictures of a few domains, as many of each, and latents.
struct Batch {
    /// `[n, 3, h, w]`.
    pictures: Tensor,
    /// A number for the domain of each.
    domains: Vec<u64>,
    ws: Tensor,
    /// Whether a picture shows what the latent of the same place does.
    is_paired: bool,
}

impl DeganJob {
    /// A new one. With a `backbone`, under the encoder's own keys, that stays as it is and only heads are trained. `generator` and
    /// `clip` are hashes that go into the file.
    ///
    /// # Errors
    ///
    /// Settings out of range; a network that is not for this generator or not on this backbone.
    pub fn new(
        config: DeganConfig,
        generator: Generator,
        styles: Box<dyn Styles>,
        networks: Networks,
        backbone: Option<Tensors>,
        (generator_hash, clip_hashes): (String, Vec<String>),
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        if networks.guides.is_empty() {
            return Err(Error::config("number of CLIP models", 0, "at least 1"));
        }
        let dims = stylespace::dims(generator.synthesis());
        if config.network.domain_dims_per_resolution != dims {
            let found = format!("{:?}", config.network.domain_dims_per_resolution);
            return Err(Error::config(
                "offsets of the encoder",
                found,
                format!("{dims:?}"),
            ));
        }
        let network = &config.network;
        let mut tensors = draw(config.seed, begin, {
            let network = network.clone();
            move |vb| Encoder::new(vb, &network)
        })?;
        let backbone = backbone.unwrap_or_default();
        for (name, tensor) in &backbone {
            let own = tensors.get(name).map(Tensor::dims);
            if own != Some(tensor.dims()) {
                let found = format!("{:?}", tensor.dims());
                let expected = own.map_or("no such tensor".to_owned(), |own| format!("{own:?}"));
                return Err(Error::config(format!("backbone: {name}"), found, expected));
            }
            tensors.insert(name.clone(), tensor.to_dtype(DType::F32)?);
        }
        let missing = tensors
            .keys()
            .find(|name| !(backbone.contains_key(*name) || name.contains(".domain_proj.")));
        if let Some(name) = missing.filter(|_| !backbone.is_empty()) {
            let found = format!("without {name}");
            return Err(Error::config(
                "backbone",
                found,
                "all tensors but the heads'",
            ));
        }
        let streams = Streams::new(config.seed);
        let mut stream = streams.stream("own pictures");
        let z = domains::draw(&generator, OWN, &mut stream);
        let ws = domains::latents(&generator, z, device)?;
        let pictures = generator.synthesis().forward(&ws, Noise::Const)?.detach();
        let own = networks.guides.iter().map(|guide| {
            let features = guide.features(&pictures)?.detach();
            Ok(unit_length(&features)?.mean_keepdim(0)?)
        });
        let purpose = Purpose {
            generator: generator_hash,
            clip: clip_hashes,
            styles: styles.describe(),
            multiplier: config.fade_in.end,
        };
        Ok(Self {
            trainer: Trainer::new(
                tensors,
                |name| backbone.contains_key(name),
                config.learning,
                device,
            )?,
            own: own.collect::<Result<_>>()?,
            stream: streams.stream("styles"),
            config,
            generator,
            styles,
            networks,
            purpose,
        })
    }

    /// The averaged network.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn encoder(&self) -> Result<Encoder> {
        Ok(Encoder::new(
            &self.trainer.averaged(),
            &self.config.network,
        )?)
    }

    pub(super) fn device(&self) -> &Device {
        self.trainer.device()
    }

    /// What the offsets are multiplied with.
    pub(super) fn multiplier(&self, at: &Clock) -> f64 {
        let step = usize::try_from(at.step).unwrap_or(usize::MAX);
        self.config.fade_in.at(step)
    }

    /// Latents with offsets, `[n, channels]` or `[1, channels]` for each style.
    pub(super) fn edited(&self, ws: &Tensor, offsets: &[Tensor], by: f64) -> Result<Tensor> {
        let synthesis = self.generator.synthesis();
        let changes = stylespace::shift(synthesis, offsets, by)?;
        Ok(synthesis.forward_modulated(ws, &changes, Noise::Const)?)
    }

    fn batch_of_styles(&mut self) -> Result<Batch> {
        let (n, expand) = (self.config.learning.batch, self.config.expand);
        let (mut styles, mut numbers, mut colours) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..n / expand {
            let (number, some) = self.styles.draw(expand, &mut self.stream)?;
            let (change, far) = (self.stream.uniform_f64() < 0.5, self.config.colours);
            let mut around = |centre: f64| {
                let away = far * (2.0 * self.stream.uniform_f64() - 1.0);
                (if change { centre + away } else { centre }) as f32
            };
            let three = [0.0; 3];
            let own = [three.map(|_| around(1.0)), three.map(|_| around(0.0))];
            colours.extend(vec![own; expand]);
            numbers.extend(vec![number; expand]);
            styles.extend(some);
        }
        let pictures: Vec<RgbImage> = styles.iter().map(|style| style.picture.clone()).collect();
        let device = self.device().clone();
        let pictures = from_rgb(&pictures, DType::F32, &Device::Cpu)?;
        let mut pictures = upload(&pictures, &device)?;
        if self.config.colours > 0.0 {
            let part = |at: usize| -> Result<Tensor> {
                let values: Vec<f32> = colours.iter().flat_map(|own| own[at]).collect();
                let values = Tensor::from_vec(values, (n, 3, 1, 1), &Device::Cpu)?;
                Ok(upload(&values, &device)?)
            };
            let changed = pictures
                .broadcast_mul(&part(0)?)?
                .broadcast_add(&part(1)?)?;
            pictures = changed.clamp(-1f32, 1f32)?;
        }
        let latents = |style: Style| style.latent;
        let known: Option<Vec<Vec<f32>>> = styles.into_iter().map(latents).collect();
        let is_paired = known.is_some();
        let z = match known {
            Some(known) => known.concat(),
            None => domains::draw(&self.generator, n, &mut self.stream),
        };
        Ok(Batch {
            pictures,
            domains: numbers,
            ws: domains::latents(&self.generator, z, &device)?,
            is_paired,
        })
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let batch = self.batch_of_styles()?;
        let (n, expand) = (self.config.learning.batch, self.config.expand);
        let (pictures, by) = (&batch.pictures, self.multiplier(at));
        let base = self.generator.synthesis();
        let base = base.forward(&batch.ws, Noise::Const)?.detach();
        // The encoder looks at its pictures, and at some of the generator's own, to which nothing should be added.
        let encoder = Encoder::new(&self.trainer.trainable(), &self.config.network)?;
        let own = base.narrow(0, 0, expand)?.clamp(-1f32, 1f32)?;
        let looked = encoder.preprocess(&Tensor::cat(&[pictures, &own], 0)?)?;
        let offsets = encoder.forward(&looked)?;
        // A latent gets the offsets of another picture of its domain.
        let next = |i: usize| (i / expand * expand + (i + 1) % expand) as u32;
        let next = Tensor::from_iter((0..n).map(next), &Device::Cpu)?;
        let next = upload(&next, self.device())?;
        let given = offsets.iter().map(|all| all.index_select(&next, 0));
        let given = given.collect::<candle_core::Result<Vec<Tensor>>>()?;
        let edited = self.edited(&batch.ws, &given, by)?;
        let own = offsets.iter().map(|all| all.narrow(0, n, expand));
        let own = own.collect::<candle_core::Result<Vec<Tensor>>>()?;

        let weights = self.config.weights;
        let mut terms = Terms::new(self.device())?;
        let (_, _, h, w) = edited.dims4()?;
        let view = self.config.augment.draw(&mut self.stream, [n, h, w])?;
        let seen = [
            view.apply(&base)?,
            view.apply(pictures)?,
            view.apply(&edited)?,
        ];
        self.by_clip(&mut terms, &batch, &seen)?;
        self.by_pictures(&mut terms, &batch, &edited)?;
        terms.add("norm", weights.norm * by * by, &squared(&given)?)?;
        terms.add("source", weights.source * by * by, &squared(&own)?)?;
        let (total, mut losses) = terms.finish()?;
        losses.applied(self.trainer.descend(&total, at)?);
        Ok(losses)
    }

    /// The terms by how far edited pictures are from those that should come out, and by features of a VGG.
    fn by_pictures(&self, terms: &mut Terms, batch: &Batch, edited: &Tensor) -> Result<()> {
        let (weights, pictures) = (self.config.weights, &batch.pictures);
        if batch.is_paired {
            domains::by_pictures(
                terms,
                self.networks.perceptual.as_ref(),
                [weights.perceptual, weights.squares],
                [pictures, edited],
            )?;
        }
        if let Some(vgg) = &self.networks.vgg {
            terms.add("vgg", weights.vgg, &vgg.forward(pictures, edited)?)?;
        }
        Ok(())
    }

    /// The terms by CLIP, of views of base pictures, of pictures of styles and of edited ones.
    fn by_clip(&self, terms: &mut Terms, batch: &Batch, seen: &[Tensor; 3]) -> Result<()> {
        let (n, weights) = (batch.domains.len(), self.config.weights);
        let alike = |i: usize, j: usize| batch.domains[i] == batch.domains[j];
        let apart = Pairs::new(n, |i, j| !alike(i, j));
        let blocks = Pairs::in_blocks(n, self.config.expand);
        for (guide, own) in self.networks.guides.iter().zip(&self.own) {
            let embed = |x: &Tensor| Ok::<_, Error>(unit_length(&guide.features(x)?)?);
            let [base, style] = [embed(&seen[0])?.detach(), embed(&seen[1])?.detach()];
            let edited = embed(&seen[2])?;
            // Without the picture's own latent, the mean of the generator's pictures stands for what it would be.
            let source = match batch.is_paired {
                true => base.clone(),
                false => own.broadcast_as(style.shape())?,
            };
            let edits = (&edited - &base)?;
            let direction = along(&edits, &(&style - source)?, Guard::default())?.mean_all()?;
            let by = guide.weight;
            terms.add("direction", weights.direction * by, &direction)?;
            let differ = target_direction(&edited, &style, &apart)?;
            terms.add("target_direction", weights.target_direction * by, &differ)?;
            let angle = in_domain_angle(&base, &edited, &blocks)?;
            terms.add("in_domain", weights.in_domain * by, &angle)?;
            if batch.is_paired {
                let near = cosine(&edited, &style, Guard::Floor(COSINE_EPS))?;
                let far = (1.0 - near)?.mean_all()?;
                terms.add("reconstruction", weights.reconstruction * by, &far)?;
            }
        }
        Ok(())
    }
}

/// How a new network begins: offsets of next to nothing.
fn begin(name: &str, shape: &[usize]) -> Begin {
    match shape {
        // Of all vectors called weight, only those of norms are.
        [_] if name.ends_with("weight") => Begin::Constant(1.0),
        [_] => Begin::Constant(0.0),
        _ if name == "class_token" || name.ends_with("pos_embedding") => Begin::Normal(0.02),
        _ if name.contains("domain_proj") && name.ends_with(".6.weight") => {
            Begin::scaled(0.02, shape)
        }
        _ if name.ends_with("out_proj.weight") || name.ends_with("mlp.3.weight") => {
            Begin::scaled(0.5, shape)
        }
        _ => Begin::scaled(1.0, shape),
    }
}

impl Job for DeganJob {
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
        state.put("styles", &self.stream)?;
        Ok(self.trainer.save(state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.stream = state.get("styles")?;
        Ok(self.trainer.restore(state)?)
    }

    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        Ok(measure::tick(self, at, folder)?)
    }

    fn writes(&self, name: &str) -> bool {
        name.starts_with("styles") && name.ends_with(".png")
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        let provenance = json!({ "settings": self.config, "images": at.images });
        let purpose = Purpose {
            multiplier: self.multiplier(at),
            ..self.purpose.clone()
        };
        Ok(file::write(
            path,
            &self.config.network,
            &purpose,
            &self.trainer.averaged_tensors(),
            &provenance,
            Overwrite::Replace,
        )?)
    }
}

//! The training as a job of the engine.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_stylegan2::{Model, Overwrite};
use domex_train::accumulate;
use domex_train::lazy::Lazy;
use domex_train::memory::Held;
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State, Team};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::networks::{Networks, Weights, check_model, generator_adam};
use super::phases::Reals;
use super::pictures::{Samples, draw_reals};
use super::{Config, Teacher};
use crate::order::Order;
use crate::{Error, Result};
use domex_gan::augment::{Ada, Augment};

/// Weights to begin with.
#[derive(Debug, Clone, Default)]
pub enum Start {
    /// Random ones.
    #[default]
    Random,
    /// Those of a model, whose networks the settings must describe.
    Model(Box<Model>),
}

/// A StyleGAN2 in training. See the [module docs](super).
pub struct StyleGan2 {
    pub(super) config: Config,
    pub(super) networks: Networks,
    pub(super) streams: Purposes,
    pub(super) augment: Option<(Augment, Ada)>,
    /// Running mean of the path length, a scalar.
    pub(super) mean_length: Tensor,
    pub(super) device: Device,
    pub(super) teaching: Option<Teaching>,
    pub(super) team: Team,
    source: Box<dyn PictureSource>,
    order: Order,
    samples: Samples,
    seed: u64,
}

/// Who draws what belongs to a latent, and the stream of these latents.
pub(super) struct Teaching {
    pub teacher: Box<dyn Teacher>,
    pub latents: Stream,
}

/// One stream for each purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purposes {
    pub latents: Stream,
    pub mixing: Stream,
    pub noise: Stream,
    pub direction: Stream,
    pub labels: Stream,
    pub augment: Stream,
}

impl Purposes {
    fn new(seed: u64) -> Self {
        let streams = Streams::new(seed);
        Self {
            latents: streams.stream("latents"),
            mixing: streams.stream("style mixing"),
            noise: streams.stream("noise"),
            direction: streams.stream("path length direction"),
            labels: streams.stream("labels"),
            augment: streams.stream("augmentation"),
        }
    }

    /// Streams that go their own way from here.
    pub fn fork(&mut self) -> Self {
        Self {
            latents: self.latents.fork(),
            mixing: self.mixing.fork(),
            noise: self.noise.fork(),
            direction: self.direction.fork(),
            labels: self.labels.fork(),
            augment: self.augment.fork(),
        }
    }
}

/// Keys and tensors of a snapshot that are not the networks'.
const STREAMS: &str = "streams";
const ADA: &str = "ada";
pub(super) const MEAN_LENGTH: &str = "mean_path_length";
const IMITATION: &str = "imitation";

impl StyleGan2 {
    /// Networks, optimizers and streams at their beginning.
    ///
    /// # Errors
    ///
    /// Settings out of range; pictures of another size or with other labels than the settings say; a model that does
    /// not fit.
    pub fn new(
        config: Config,
        source: Box<dyn PictureSource>,
        start: &Start,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        check_source(&config, &*source)?;
        let weights = match start {
            Start::Random => Weights::random(&config, seed, device)?,
            Start::Model(model) => {
                check_model(model, &config)?;
                Weights::of_model(model, &config, seed, device)?
            }
        };
        Ok(Self {
            networks: Networks::new(&config, &weights)?,
            streams: Purposes::new(seed),
            augment: config.augment.made()?,
            mean_length: Tensor::zeros((), DType::F32, device)?,
            order: Order::new(seed, source.len()),
            samples: Samples::new(seed, config.z_dim, &*source, device)?,
            device: device.clone(),
            teaching: None,
            team: Team::default(),
            source,
            config,
            seed,
        })
    }

    /// The same with pictures for its latents.
    #[must_use]
    pub fn with_teacher(mut self, teacher: Box<dyn Teacher>) -> Self {
        self.teaching = Some(Teaching {
            teacher,
            latents: Streams::new(self.seed).stream("imitation"),
        });
        self
    }

    /// The same of a team: each rank computes some of a step's passes.
    ///
    /// # Errors
    ///
    /// Fewer passes than ranks.
    pub fn shared(self, team: Team) -> Result<Self> {
        self.config.check_ranks(team.size())?;
        Ok(Self { team, ..self })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The model as it is now.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn model(&self, at: &Clock) -> Result<Model> {
        let mut g_ema = self.networks.g_ema.clone();
        if let Some(mean) = self.networks.g.mapping().w_avg() {
            g_ema.set_mean_w(mean)?;
        }
        let mut model = Model::new(g_ema);
        model.g = Some(self.networks.g.clone());
        model.discriminator = Some(self.networks.d.clone());
        model.provenance["training"] = json!({
            "seed": self.seed,
            "step": at.step,
            "images": at.images,
            "seconds": at.seconds,
            "data": self.source.describe(),
            "teacher": self.teaching.as_ref().map(|it| it.teacher.describe()),
            "config": self.config,
        });
        Ok(model)
    }

    /// The pictures of the step after `images` pictures, pass by pass; `None` for those that another rank computes.
    fn reals(&mut self, images: u64) -> Result<Vec<Option<Reals>>> {
        let mut before = images;
        let mut out = Vec::new();
        let passes = self.config.passes();
        let own = self.team.passes(passes.len());
        for (at, pass) in passes.into_iter().enumerate() {
            let range = before..before + pass as u64;
            before += pass as u64;
            if !own.contains(&at) {
                out.push(None);
                continue;
            }
            let indices: Vec<u64> = range.map(|i| self.order.index(i)).collect();
            let (pictures, labels) = source::batch(&*self.source, &indices)?;
            let labels = if self.config.label_dim > 0 {
                let shape = (pass, self.config.label_dim);
                let labels = Tensor::from_vec(labels.concat(), shape, &Device::Cpu)?;
                Some(upload(&labels, &self.device)?)
            } else {
                None
            };
            let pictures = match self.config.channels {
                1 => picture::from_grey(&pictures, DType::F32, &Device::Cpu)?,
                _ => picture::from_rgb(&pictures, DType::F32, &Device::Cpu)?,
            };
            let pictures = upload(&pictures, &self.device)?;
            out.push(Some(Reals { pictures, labels }));
        }
        Ok(out)
    }

    /// Moves the averaged generator.
    fn average(&mut self, at: &Clock) -> Result<()> {
        self.networks.ema.update(self.config.batch, at.images)?;
        self.networks.share_mean()
    }

    /// Labels of pictures drawn at random, for generated ones.
    pub(super) fn random_labels(&mut self, n: usize) -> Result<Option<Tensor>> {
        let dim = self.config.label_dim;
        if dim == 0 {
            return Ok(None);
        }
        let len = usize::try_from(self.source.len()).unwrap_or(usize::MAX);
        let mut values = Vec::with_capacity(n * dim);
        for _ in 0..n {
            let index = self.streams.labels.index(len)?;
            values.extend(self.source.label(index as u64)?);
        }
        let labels = Tensor::from_vec(values, (n, dim), &Device::Cpu)?;
        Ok(Some(upload(&labels, &self.device)?))
    }
}

impl Job for StyleGan2 {
    fn batch(&self) -> usize {
        self.config.batch
    }

    fn team(&self) -> Team {
        self.team.clone()
    }

    fn needs_less(&self) -> String {
        let Config {
            batch,
            micro_batch,
            mbstd_group,
            ..
        } = self.config;
        match micro_batch {
            1 => "a lower resolution needs less".to_owned(),
            most => format!(
                "a run with --micro-batch {} needs less, for more time",
                accumulate::smaller(batch, most, mbstd_group)
            ),
        }
    }

    fn held(&self) -> Option<Held> {
        self.config.held(&self.device)
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        let mut losses = Losses::default();
        let imitation = self.config.imitation.clone();
        if let Some(imitation) = &imitation {
            let last = generator_adam(&self.config)?.lr;
            self.networks.adam_g.set_lr(imitation.lr(last, at.images));
        }
        if imitation.as_ref().is_some_and(|it| at.images < it.alone) {
            self.imitate(false, &mut losses)?;
            self.average(at)?;
            return Ok(losses);
        }
        let reals = self.reals(at.images)?;
        match imitation {
            Some(it) => self.imitate(at.images >= it.alone + it.warm_up, &mut losses)?,
            None => self.g_main(&mut losses)?,
        }
        if Lazy::new(self.config.path_length_interval)?.due(at.step) {
            self.g_regularise(&mut losses)?;
        }
        self.d_main(&reals, &mut losses)?;
        if Lazy::new(self.config.r1_interval)?.due(at.step) {
            self.d_regularise(&reals, &mut losses)?;
        }
        self.average(at)?;
        if let Some((_, ada)) = &mut self.augment {
            ada.step(self.config.batch);
        }
        Ok(losses)
    }

    fn settings(&self) -> JobResult<serde_json::Value> {
        Ok(serde_json::to_value(&self.config)?)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        self.networks.save(state)?;
        state.put_tensor(MEAN_LENGTH, &self.mean_length)?;
        state.put(STREAMS, &self.streams)?;
        if let Some((_, ada)) = &self.augment {
            state.put(ADA, ada)?;
        }
        if let Some(teaching) = &self.teaching {
            state.put(IMITATION, &teaching.latents)?;
        }
        Ok(())
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.networks = Networks::restore(&self.config, state, &self.device)?;
        self.mean_length = state.tensor(MEAN_LENGTH, &self.device)?;
        self.streams = state.get(STREAMS)?;
        if let Some((_, ada)) = &mut self.augment {
            *ada = state.get(ADA)?;
        }
        if let Some(teaching) = &mut self.teaching {
            teaching.latents = state.get(IMITATION)?;
        }
        Ok(())
    }

    fn start(&mut self, folder: &RunFolder) -> JobResult<()> {
        draw_reals(&*self.source, &folder.file("reals.png"))?;
        self.samples
            .draw(&self.networks.g_ema, &folder.file("fakes_init.png"))?;
        Ok(())
    }

    fn writes(&self, name: &str) -> bool {
        name == "reals.png" || (name.starts_with("fakes") && name.ends_with(".png"))
    }

    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        let name = format!("fakes{}.png", at.stamp(self.config.batch));
        self.samples
            .draw(&self.networks.g_ema, &folder.file(name))?;
        let mut measures = Measures::default();
        if let Some((_, ada)) = &self.augment {
            measures.values.push(("augment/p".into(), ada.p()));
            let sign = ada.sign().map(|sign| ("augment/sign".into(), sign));
            measures.values.extend(sign);
        }
        Ok(measures)
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        Ok(self.model(at)?.save(path, Overwrite::Replace)?)
    }
}

fn check_source(config: &Config, source: &dyn PictureSource) -> Result<()> {
    if source.is_empty() {
        return Err(Error::config("pictures to train on", 0, "at least one"));
    }
    let found = source.resolution() as usize;
    if found != config.resolution {
        let expected = format!("{0} × {0}, as the settings say", config.resolution);
        let found = format!("{found} × {found}");
        return Err(Error::config("size of the pictures", found, expected));
    }
    // Grey pictures are fit for a network in colour; the reverse would lose what the pictures show.
    if source.channels() > config.channels {
        let expected = format!("{}, as the settings say", config.channels);
        return Err(Error::config(
            "channels of the pictures",
            source.channels(),
            expected,
        ));
    }
    if source.label_dim() != config.label_dim {
        let expected = config.label_dim.to_string();
        return Err(Error::config(
            "size of the labels",
            source.label_dim(),
            expected,
        ));
    }
    Ok(())
}

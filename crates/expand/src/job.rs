//! The expansion as a job of the training engine.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_latent::ImageDistance;
use domex_latent::basis::Basis;
use domex_latent::subspace::Layout;
use domex_nada::{Guide, Nada, Task};
use domex_random::{Stream, Streams};
use domex_stylegan2::{Expansion, Model, Overwrite};
use domex_train::lazy::Lazy;
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::aligned::Aligned;
use crate::domains::{self, Domains};
use crate::layers::Layers;
use crate::networks::Networks;
use crate::source_file::{self, kept_source};
use crate::{Config, Error, NadaMethod, Objective, Result, TaskSpec};

/// What a run is made from.
pub struct Parts<'a> {
    /// The generator to expand, with its discriminator if it has one; expanded before or not.
    pub model: &'a Model,
    /// The new domains.
    pub tasks: &'a [TaskSpec],
    /// CLIP networks.
    pub guides: Vec<Guide>,
    /// The CLIP network of the texture term, where that is weighted.
    pub texture: Option<Guide>,
    /// The perceptual distance of replay alignment.
    pub distance: Option<Box<dyn ImageDistance>>,
    /// Pictures of the source domain, for the adversarial phases.
    pub pictures: Option<Box<dyn PictureSource>>,
    /// A folder for text features.
    pub cache: Option<&'a Path>,
    /// Seed of every stream.
    pub seed: u64,
}

/// An expansion in progress. See the [crate's docs](crate).
pub struct Expand {
    pub(crate) config: Config,
    pub(crate) networks: Networks,
    pub(crate) objective: Objective,
    pub(crate) domains: Domains,
    pub(crate) streams: Purposes,
    pub(crate) distance: Option<Box<dyn ImageDistance>>,
    pub(crate) layers: Option<Layers>,
    /// Running mean of the path length, a scalar.
    pub(crate) mean_length: Tensor,
    pub(crate) device: Device,
    pictures: Option<Box<dyn PictureSource>>,
    basis: Basis,
    aligned: Aligned,
    provenance: serde_json::Value,
    seed: u64,
    file: Option<PathBuf>,
}

/// One stream for each purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purposes {
    pub latents: Stream,
    pub tasks: Stream,
    pub noise: Stream,
    pub source_noise: Stream,
    pub methods: Stream,
    pub earlier: Stream,
    pub mixing: Stream,
    pub direction: Stream,
    pub pictures: Stream,
}

impl Purposes {
    fn new(seed: u64) -> Self {
        let streams = Streams::new(seed);
        Self {
            latents: streams.stream("latents"),
            tasks: streams.stream("tasks"),
            noise: streams.stream("noise"),
            source_noise: streams.stream("noise of the source"),
            methods: streams.stream("methods"),
            earlier: streams.stream("earlier domains"),
            mixing: streams.stream("style mixing"),
            direction: streams.stream("path length direction"),
            pictures: streams.stream("pictures"),
        }
    }
}

/// Keys of a snapshot.
const STREAMS: &str = "streams";
const CONFIG: &str = "config";
const LAYOUT: &str = "layout";
const MEAN_LENGTH: &str = "mean_path_length";

impl Expand {
    /// Everything at its beginning.
    ///
    /// # Errors
    ///
    /// Settings out of range, a class-conditional model or one of other colours than RGB, tasks that do not fit the model or
    /// CLIP, pictures of another size, or no perceptual distance where one is weighted.
    pub fn new(config: Config, parts: Parts<'_>) -> Result<Self> {
        config.validate()?;
        let model = parts.model;
        let network = model.config();
        if network.c_dim() > 0 {
            return Err(Error::setting("classes of the model", network.c_dim(), "0"));
        }
        check_channels(model)?;
        check_pictures(network.synthesis.img_resolution, parts.pictures.as_deref())?;
        let device = model.g_ema.synthesis().device().clone();
        let adversarial = config.src > 0.0 && parts.pictures.is_some();
        if config.realism > 0.0 && model.discriminator.is_none() {
            return Err(Error::setting(
                "realism",
                config.realism,
                "0, as the model has no discriminator",
            ));
        }
        let networks = Networks::new(model, &config, adversarial || config.realism > 0.0)?;
        let (basis, domains) = domains::place(model, &config, parts.tasks, parts.seed)?;
        let nada = nada(&config, parts.guides, parts.texture)?;
        let aligned = Aligned::new(parts.seed, network.z_dim(), &device)?;
        let source = || aligned.source_pictures(&model.g_ema);
        let tasks = parts.tasks.iter();
        let tasks = tasks.map(|task| domains::nada_task(task, nada.guides(), &device, source));
        let tasks: Vec<Task> = tasks.collect::<Result<_>>()?;
        let prepared = nada.prepare(&tasks, parts.cache)?;
        let subspaces = domains.layout.subspaces(&basis, &device, DType::F32)?;
        let method = Box::new(NadaMethod {
            nada,
            tasks: prepared,
        });
        let streams = Streams::new(parts.seed);
        let layers = config.adaptive_layers;
        let layers = layers.map(|layers| Layers::new(layers, &method, &networks.g, &streams));
        let distance = parts.distance;
        let mut objective =
            Objective::new(subspaces, domains.places(), vec![method], config.objective)?;
        if config.objective.alignment.lpips > 0.0 && distance.is_none() {
            let expected = "0, or a perceptual network";
            return Err(Error::setting(
                "weight of LPIPS",
                config.objective.alignment.lpips,
                expected,
            ));
        }
        let distance: Option<std::sync::Arc<dyn ImageDistance>> = distance.map(Into::into);
        if let Some(distance) = &distance {
            objective = objective.with_distance(Box::new(domains::Shared(distance.clone())));
        }
        Ok(Self {
            layers: layers.transpose()?,
            file: None,
            networks,
            objective,
            streams: Purposes::new(parts.seed),
            distance: distance.map(|d| Box::new(domains::Shared(d)) as Box<dyn ImageDistance>),
            mean_length: Tensor::zeros((), DType::F32, &device)?,
            pictures: parts.pictures.filter(|_| adversarial),
            aligned,
            provenance: model.provenance.clone(),
            seed: parts.seed,
            device,
            basis,
            domains,
            config,
        })
    }

    /// Keeps the file of the source model in the run's folder, as [`kept_source`] says: other runs rewrite their models.
    #[must_use]
    pub fn keep_source(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// The domains and their dimensions, earlier ones first.
    pub fn layout(&self) -> &Layout {
        &self.domains.layout
    }

    /// Whether the source's adversarial phases run.
    pub fn is_adversarial(&self) -> bool {
        self.pictures.is_some() && self.networks.judge.is_some()
    }

    /// The expanded model as it is now.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn model(&self, at: &Clock) -> Result<Model> {
        let mean = self.networks.g.mean_w()?;
        let mut g_ema = self.networks.g_ema.clone();
        g_ema.set_mean_w(&mean)?;
        let mut model = Model::new(g_ema);
        model.discriminator = self.networks.judge.as_ref().map(|judge| judge.d.clone());
        model.expansion = Some(Expansion::new(
            self.domains.layout.clone(),
            self.basis.clone(),
            mean,
        )?);
        model.provenance["source"] = self.provenance.clone();
        model.provenance["expansion"] = json!({
            "seed": self.seed,
            "steps": at.step,
            "seconds": at.seconds,
            "config": self.config,
        });
        Ok(model)
    }

    /// Pictures of the source domain `[n, 3, h, w]`, drawn at random.
    pub(crate) fn reals(&mut self, n: usize) -> Result<Option<Tensor>> {
        let Some(set) = &self.pictures else {
            return Ok(None);
        };
        let len = usize::try_from(set.len()).unwrap_or(usize::MAX);
        let mut indices = Vec::with_capacity(n);
        for _ in 0..n {
            let index = self.streams.pictures.index(len);
            indices.push(index.map_err(|error| Error::setting("pictures", error, "some"))? as u64);
        }
        let (pictures, _) = source::batch(&**set, &indices)?;
        Ok(Some(picture::from_rgb(
            &pictures,
            DType::F32,
            &self.device,
        )?))
    }
}

impl Job for Expand {
    fn batch(&self) -> usize {
        self.config.batch
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        let mut losses = Losses::default();
        self.networks.slow_down(at.cooled(self.config.cooldown));
        self.expand_phase(&mut losses)?;
        if self.is_adversarial() {
            self.generator_phase(&mut losses)?;
            if Lazy::new(self.config.path_length_interval)?.due(at.step) {
                self.path_length_phase(&mut losses)?;
            }
            self.discriminator_phase(&mut losses)?;
            if Lazy::new(self.config.r1_interval)?.due(at.step) {
                self.r1_phase(&mut losses)?;
            }
        }
        self.networks.ema.update(self.config.batch, at.images)?;
        Ok(losses)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        self.networks.save(state)?;
        state.put_tensor(MEAN_LENGTH, &self.mean_length)?;
        state.put(STREAMS, &self.streams)?;
        state.put(CONFIG, &self.config)?;
        if let Some(layers) = &self.layers {
            layers.save(state)?;
        }
        Ok(state.put(LAYOUT, &self.domains.layout)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        let layout: Layout = state.get(LAYOUT)?;
        if layout != self.domains.layout {
            let expected = "the tasks that the run was started with";
            return Err(
                Error::setting("tasks", domains::names(&self.domains.layout), expected).into(),
            );
        }
        let config: Config = state.get(CONFIG)?;
        if config != self.config {
            let expected = "those that the run was started with";
            return Err(Error::setting("settings", "other ones", expected).into());
        }
        self.networks.restore(state, &self.device)?;
        self.mean_length = state.tensor(MEAN_LENGTH, &self.device)?;
        self.streams = state.get(STREAMS)?;
        if let Some(layers) = &mut self.layers {
            layers.restore(state)?;
        }
        Ok(())
    }

    fn start(&mut self, folder: &RunFolder) -> JobResult<()> {
        if let Some(file) = &self.file {
            source_file::keep(file, &kept_source(folder.path(), file))?;
        }
        Ok(self.draw(&folder.file("aligned_init.png"))?)
    }

    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        let name = format!("aligned{:06}.png", at.step);
        self.draw(&folder.file(name))?;
        Ok(crate::validation::measure(self, self.seed)?)
    }

    fn writes(&self, name: &str) -> bool {
        let grid = name.starts_with("aligned") && name.ends_with(".png");
        grid || source_file::is_kept(name)
            || name == crate::report::HTML
            || name == crate::report::JSON
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        Ok(self.model(at)?.save(path, Overwrite::Replace)?)
    }
}

impl Expand {
    /// The same people in every domain, by the averaged generator.
    fn draw(&self, path: &Path) -> Result<()> {
        let generator = &self.networks.g_ema;
        let mean = self.networks.g.mean_w()?;
        self.aligned.draw(
            generator,
            &mean,
            &self.domains.layout,
            self.objective.subspaces(),
            path,
        )
    }
}

/// The loss by CLIP, as the settings want it.
pub(crate) fn nada(
    config: &Config,
    mut guides: Vec<Guide>,
    mut texture: Option<Guide>,
) -> Result<Nada> {
    for guide in guides.iter_mut().chain(&mut texture) {
        guide.antialias |= config.antialias;
    }
    Ok(match texture {
        Some(texture) => Nada::with_texture(guides, texture, config.nada)?,
        None => Nada::new(guides, config.nada)?,
    })
}

/// CLIP and the perceptual network see three colours.
pub(crate) fn check_channels(model: &Model) -> Result<()> {
    match model.config().synthesis.img_channels {
        3 => Ok(()),
        found => Err(Error::setting(
            "colour channels of the model",
            found,
            "3: CLIP and the perceptual network see RGB pictures",
        )),
    }
}

fn check_pictures(size: usize, pictures: Option<&dyn PictureSource>) -> Result<()> {
    let Some(pictures) = pictures else {
        return Ok(());
    };
    if pictures.is_empty() {
        return Err(Error::setting(
            "pictures of the source domain",
            0,
            "at least one",
        ));
    }
    let found = pictures.resolution() as usize;
    if found != size {
        let expected = format!("{size} × {size}, as the generator's");
        return Err(Error::setting(
            "size of the pictures",
            format!("{found} × {found}"),
            expected,
        ));
    }
    Ok(())
}

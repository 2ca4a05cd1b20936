//! The expansion as a job of the training engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domex_latent::subspace::Layout;
use domex_latent::{Expansion, ImageDistance};
use domex_random::{Stream, Streams};
use domex_train::adam::Adam;
use domex_train::memory::Held;
use domex_train::{Clock, Job, JobResult, Losses, Measures, Parameters, RunFolder, State, Team};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::aligned::{Aligned, FromSource, source_pictures};
use crate::domains::Domains;
use crate::layers::Layers;
use crate::methods::{self, Networks, Sets, World};
use crate::parametrisation::{self, Parametrisation};
use crate::source_file::{self, kept_source};
use crate::trainee::{SourceStep, Trainee, Weights};
use crate::{Config, Error, Objective, Placement, Result, TaskSpec};

/// What a run is made from.
pub struct Parts<'a> {
    /// The generator to expand; expanded before or not.
    pub trainee: Box<dyn Trainee>,
    /// The new domains.
    pub tasks: &'a [TaskSpec],
    /// What losses are made of.
    pub networks: Networks,
    /// The pictures of tasks that learn from a folder or a zip, by its path.
    pub sets: Sets,
    /// A folder for text features.
    pub cache: Option<&'a Path>,
    /// Seed of every stream.
    pub seed: u64,
}

/// An expansion in progress. See the [crate's docs](crate).
pub struct Expand {
    pub(crate) config: Config,
    pub(crate) trainee: Box<dyn Trainee>,
    pub(crate) trained: Box<dyn Parametrisation>,
    pub(crate) optimizer: Adam,
    pub(crate) objective: Objective,
    pub(crate) domains: Domains,
    /// Of the tasks, in their order.
    pub(crate) names: Vec<String>,
    pub(crate) streams: Purposes,
    pub(crate) distance: Option<Arc<dyn ImageDistance>>,
    pub(crate) layers: Option<Layers>,
    learning_rate: f64,
    aligned: Aligned,
    seed: u64,
    file: Option<PathBuf>,
    pub(crate) team: Team,
}

/// One stream for each purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purposes {
    pub latents: Stream,
    pub tasks: Stream,
    pub samples: Stream,
    pub noise: Stream,
    pub source_noise: Stream,
    pub methods: Stream,
    pub earlier: Stream,
    pub classes: Stream,
}

impl Purposes {
    fn new(seed: u64) -> Self {
        let streams = Streams::new(seed);
        Self {
            latents: streams.stream("latents"),
            tasks: streams.stream("tasks"),
            samples: streams.stream("samples"),
            noise: streams.stream("noise"),
            source_noise: streams.stream("noise of the source"),
            methods: streams.stream("methods"),
            earlier: streams.stream("earlier domains"),
            classes: streams.stream("classes"),
        }
    }

    /// Those that one pass of a step draws from go their own way.
    pub fn of_pass(&mut self) -> Self {
        Self {
            noise: self.noise.fork(),
            source_noise: self.source_noise.fork(),
            methods: self.methods.fork(),
            earlier: self.earlier.fork(),
            ..self.clone()
        }
    }
}

/// Key of a snapshot.
const STREAMS: &str = "streams";

/// Prefixes of tensors in a snapshot.
const TRAINED: &str = "generator.";
const AVERAGED: &str = "generator_ema.";
const OPTIMIZER: &str = "adam.generator.";

impl Expand {
    /// Everything at its beginning.
    ///
    /// # Errors
    ///
    /// Settings out of range, a class that the model does not have, other colours than RGB, tasks that do not fit the model or
    /// the networks, a parametrisation that the generator cannot have, or no perceptual distance where one is weighted.
    pub fn new(config: Config, parts: Parts<'_>) -> Result<Self> {
        config.validate()?;
        let Parts {
            mut trainee,
            tasks,
            networks,
            sets,
            cache,
            seed,
        } = parts;
        check_generator(&*trainee, config.class)?;
        let aligned = Aligned::new(seed, trainee.generator(Weights::Source), config.class)?;
        let whole = config.placement == Placement::Whole;
        let placed = if whole { &[] } else { tasks };
        let domains = Domains::new(&*trainee, &config, placed, seed)?;
        let (methods, places) = {
            let source = trainee.generator(Weights::Source);
            let world = World {
                config: &config,
                networks: &networks,
                cache,
                device: source.device(),
                latent_dim: source.latent_dim(),
                resolution: source.resolution(),
                seed,
                discriminator: trainee.discriminator(),
                sets: &sets,
                source_pictures: &|| source_pictures(seed, source, config.class),
            };
            methods::build(tasks, &world)?
        };
        let objective = match whole {
            true => {
                check_whole(&config, tasks, trainee.expansion())?;
                Objective::whole(methods, config.objective)?
            }
            false => {
                let generator = trainee.generator(Weights::Source);
                let layout = &domains.layout;
                let subspaces =
                    layout.subspaces(&domains.basis, generator.device(), generator.dtype())?;
                Objective::new(
                    subspaces,
                    domains.places(&places),
                    methods,
                    config.objective,
                )?
            }
        };
        let distance = networks.distance;
        let objective = with_distance(objective, distance.clone())?;
        let among = parametrisation::Domains {
            layout: &domains.layout,
            earlier: domains.earlier,
            basis: &domains.basis,
        };
        let trained = parametrisation::attach(&config, &mut *trainee, among, seed)?;
        if config.reserve > 0 && !config.parametrisation.changes_base() {
            let expected = "0: this parametrisation leaves free directions as they are";
            return Err(Error::setting("reserve", config.reserve, expected));
        }
        let layers = config.adaptive_layers;
        let streams = Streams::new(seed);
        let layers = layers.map(|layers| Layers::new(layers, &objective, &*trainee, &streams));
        let adam = trainee.optimizer(config.adam())?;
        Ok(Self {
            layers: layers.transpose()?,
            optimizer: Adam::new(trained.parameters(), adam)?,
            learning_rate: adam.lr,
            streams: Purposes::new(seed),
            names: tasks.iter().map(TaskSpec::name).collect(),
            file: None,
            team: Team::default(),
            trainee,
            trained,
            objective,
            distance,
            aligned,
            seed,
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

    /// Shares each step with other processes, which are made from the same.
    ///
    /// # Errors
    ///
    /// Fewer passes than processes.
    pub fn shared(mut self, team: Team) -> Result<Self> {
        let (passes, ranks) = (self.config.passes().len(), team.size());
        if passes < ranks {
            let expected = format!(
                "{ranks} or more, one for each rank: a larger batch, a smaller micro_batch, or fewer ranks"
            );
            let found = format!("{passes} (batch {})", self.config.batch);
            return Err(Error::setting("passes of a step", found, expected));
        }
        self.team = team;
        Ok(self)
    }

    /// The domains and their dimensions, earlier ones first.
    pub fn layout(&self) -> &Layout {
        &self.domains.layout
    }

    /// The generator that is expanded.
    pub fn trainee(&self) -> &dyn Trainee {
        &*self.trainee
    }

    /// What is trained, by name.
    pub fn parameters(&self) -> &Parameters {
        self.trained.parameters()
    }

    /// What the methods make things of, beside them.
    fn source_pictures(&mut self) -> (&mut Objective, FromSource<'_>) {
        let source = FromSource {
            class: self.config.class,
            streams: Streams::new(self.seed),
            subspaces: self.objective.subspaces().cloned(),
            generator: self.trainee.generator(Weights::Source),
        };
        (&mut self.objective, source)
    }

    /// The same people in every domain, by the averaged generator.
    fn draw(&self, path: &Path) -> Result<()> {
        let generator = self.trainee.generator(Weights::Averaged);
        let Some(subspaces) = self.objective.subspaces() else {
            return self.aligned.draw_whole(generator, &self.names[0], path);
        };
        let mean = self.trainee.mean()?;
        let layout = &self.domains.layout;
        self.aligned.draw(generator, &mean, layout, subspaces, path)
    }
}

impl Job for Expand {
    fn batch(&self) -> usize {
        self.config.batch
    }

    fn team(&self) -> Team {
        self.team.clone()
    }

    fn needs_less(&self) -> String {
        self.config.needs_less()
    }

    fn held(&self) -> Option<Held> {
        let generator = self.trainee.generator(Weights::Source);
        let most = self.config.passes().into_iter().max()?;
        let sizes = [most, generator.widest()];
        Held::of(
            generator.device(),
            generator.dtype(),
            sizes,
            "--batch or --micro-batch",
        )
    }

    /// The basis.
    fn computed(&self, state: &mut State) -> JobResult<()> {
        Ok(state.put_tensor("basis", self.domains.basis.vectors())?)
    }

    fn prepare(&mut self) -> JobResult<()> {
        let (objective, source) = self.source_pictures();
        Ok(objective.prepare(&source)?)
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        let (objective, source) = self.source_pictures();
        objective.renew(at.step, &source)?;
        let mut losses = Losses::default();
        let factor = at.cooled(self.config.cooldown);
        self.optimizer.set_lr(self.learning_rate * factor);
        self.trainee.scale_learning_rates(factor);
        self.expand_phase(factor, &mut losses)?;
        if self.config.low_memory {
            // What is to come asks no frozen network, and R1 and path length need most of all.
            domex_ops::frozen::give_up();
        }
        let trains_source = self.trainee.trains_source();
        if let (true, Some(subspaces)) = (trains_source, self.objective.subspaces()) {
            self.trainee.source_phases(SourceStep {
                at,
                batch: self.config.batch,
                passes: self.config.passes(),
                team: &self.team,
                subspaces,
                latents: &mut self.streams.latents,
                noise: &mut self.streams.noise,
                optimizer: &mut self.optimizer,
                losses: &mut losses,
            })?;
        }
        self.trained.ema().update(self.config.batch, at.images)?;
        Ok(losses)
    }

    fn settings(&self) -> JobResult<serde_json::Value> {
        Ok(json!({ "tasks": self.names, "layout": self.domains.layout, "config": self.config }))
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put_parameters(TRAINED, self.trained.parameters())?;
        self.trained.ema().save(AVERAGED, state)?;
        self.optimizer.save(OPTIMIZER, state)?;
        self.trainee.save(state)?;
        self.objective.save(state)?;
        state.put(STREAMS, &self.streams)?;
        if let Some(layers) = &self.layers {
            layers.save(state)?;
        }
        Ok(())
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        state.load_parameters(TRAINED, self.trained.parameters())?;
        self.trained.ema().restore(AVERAGED, state)?;
        self.optimizer.restore(OPTIMIZER, state)?;
        self.trainee.restore(state)?;
        self.objective.restore(state)?;
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
        let made = json!({
            "seed": self.seed,
            "steps": at.step,
            "seconds": at.seconds,
            "config": self.config,
            "tasks": self.names,
        });
        let what = match self.config.placement {
            Placement::Subspaces => "expansion",
            Placement::Whole => "adaptation",
        };
        let made = Map::from_iter([(what.to_owned(), made)]);
        let expansion = match self.config.placement {
            Placement::Whole => None,
            Placement::Subspaces => {
                let (layout, basis) = (self.domains.layout.clone(), self.domains.basis.clone());
                let expansion = Expansion::new(layout, basis, self.trainee.mean()?)?;
                Some(self.trained.record(expansion)?)
            }
        };
        Ok(self.trainee.export(expansion, made, path)?)
    }
}

/// The class must be there, and the networks of the losses see three colours.
fn check_generator(trainee: &dyn Trainee, class: Option<usize>) -> Result<()> {
    let generator = trainee.generator(Weights::Source);
    let classes = generator.label_dim();
    if let Some(class) = class.filter(|&class| class >= classes) {
        let expected = match classes {
            0 => "none, as the model has no classes".to_owned(),
            classes => format!("0 to {}, the model's classes", classes - 1),
        };
        return Err(Error::setting("class", class, expected));
    }
    match generator.channels() {
        3 => Ok(()),
        found => Err(Error::setting(
            "colour channels of the model",
            found,
            "3: CLIP and the perceptual network see RGB pictures",
        )),
    }
}

fn check_whole(config: &Config, tasks: &[TaskSpec], expansion: Option<&Expansion>) -> Result<()> {
    let domains = expansion.map_or(0, |expansion| expansion.layout.domains().len());
    if domains > 0 {
        let found = format!("\"whole\", of a model with domains ({domains})");
        let expected = "\"subspaces\", or a model without: they would be lost";
        return Err(Error::setting("placement", found, expected));
    }
    if tasks.len() != 1 {
        let expected = "1, as it gets the whole latent space (placement = \"whole\")";
        return Err(Error::setting("number of tasks", tasks.len(), expected));
    }
    let dimension = tasks[0].dimension.map(|dimension| dimension as f64);
    for (what, given) in [
        ("dimension of the task", dimension),
        ("distance of the task", tasks[0].distance),
        ("distance", config.distance),
    ] {
        if let Some(found) = given {
            let expected = "left out, as the domain has no direction (placement = \"whole\")";
            return Err(Error::setting(what, found, expected));
        }
    }
    if config.parametrisation != parametrisation::ParametrisationKind::Full {
        let found = format!("{:?}", config.parametrisation.name());
        let expected =
            "\"full\": a domain without a direction (placement = \"whole\") is in the weights";
        return Err(Error::setting("parametrisation", found, expected));
    }
    Ok(())
}

/// The objective with its perceptual distance, which must be there where it is weighted.
fn with_distance(
    objective: Objective,
    distance: Option<Arc<dyn ImageDistance>>,
) -> Result<Objective> {
    let lpips = objective.config().alignment.lpips;
    match distance {
        Some(distance) => Ok(objective.with_distance(distance)),
        None if lpips > 0.0 && objective.subspaces().is_some() => {
            let expected = "0, or a perceptual network";
            Err(Error::setting("weight of LPIPS", lpips, expected))
        }
        None => Ok(objective),
    }
}

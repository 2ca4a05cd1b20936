//! What an expansion does: a file of tasks, changed by flags; or what a run did up to now.
//!
//! Length, ticks and snapshots change nothing that a step computes, so a resumed run may change them.

use std::path::{Path, PathBuf};

use candle_core::Device;
use domex_expand::{Config, Dimensions, TaskFile, TaskSpec, files};
use domex_latent::ImageDistance;
use domex_nada::Guide;
use serde::{Deserialize, Serialize};

use super::{Expand, inputs};
use crate::context::Context;
use crate::exit::mendable;
use crate::models;

/// Everything that `run.json` and the snapshots of a run say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A file, or the name of the random model.
    pub model: String,
    pub tasks: Vec<TaskSpec>,
    pub clip: Vec<Tower>,
    pub perceptual: Option<PathBuf>,
    /// A folder, a zip file, `portraits`, or nothing.
    pub data: Option<String>,
    pub seed: u64,
    pub config: Config,
    pub length: Length,
    /// SHA-256 of the files above, by their paths: a run goes on with what it began with.
    pub sha256: Vec<(PathBuf, String)>,
}

/// A CLIP network and its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tower {
    pub path: PathBuf,
    pub weight: f64,
}

/// What a resumed run may change, but for the plateau.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {
    pub steps: u64,
    pub tick: u64,
    pub snap: u64,
    pub keep: usize,
    pub plateau: Option<u64>,
}

impl Settings {
    /// Of a new run.
    pub fn new(context: &Context, args: &Expand) -> anyhow::Result<Self> {
        let file = tasks(args)?;
        let model = inputs::model(args.model.as_deref())?;
        let clip = inputs::towers(args, &file)?;
        let needs = file.settings.objective.alignment.lpips > 0.0
            || file.settings.objective.diversity > 0.0;
        let perceptual = inputs::perceptual(args.perceptual.as_deref(), needs)?;
        let mut settings = Self {
            data: inputs::data(args.data.as_deref(), &model),
            model,
            tasks: file.tasks,
            clip,
            perceptual,
            seed: context.seed,
            config: file.settings,
            length: Length {
                steps: args.steps.unwrap_or(1000),
                tick: args.tick.unwrap_or(50),
                snap: args.snap.unwrap_or(4),
                keep: args.keep.map_or(2, usize::from),
                plateau: args.plateau,
            },
            sha256: Vec::new(),
        };
        for path in settings.files() {
            let hash = domex_checkpoint::sha256_file(&path)?;
            settings.sha256.push((path, hash));
        }
        Ok(settings)
    }

    /// Of a run that goes on: its own, but for the length.
    pub fn gone_on_with(mut self, context: &Context, args: &Expand) -> anyhow::Result<Self> {
        if let Some(seed) = context.given_seed.filter(|seed| *seed != self.seed) {
            return Err(mendable(format!(
                "--seed {seed}: the run has {}; leave it out",
                self.seed
            )));
        }
        let length = &mut self.length;
        length.steps = args.steps.unwrap_or(length.steps);
        length.tick = args.tick.unwrap_or(length.tick);
        length.snap = args.snap.unwrap_or(length.snap);
        length.keep = args.keep.map_or(length.keep, usize::from);
        for (path, before) in &self.sha256 {
            if domex_checkpoint::sha256_file(path)? != *before {
                return Err(mendable(format!(
                    "{}: has changed since the run began with it; put the old file back, or start a new run",
                    path.display()
                )));
            }
        }
        Ok(self)
    }

    fn files(&self) -> Vec<PathBuf> {
        let model = (self.model != models::TINY_RANDOM).then(|| PathBuf::from(&self.model));
        let towers = self.clip.iter().map(|tower| tower.path.clone());
        let pictures = self.tasks.iter().flat_map(|task| task.pictures.clone());
        model
            .into_iter()
            .chain(towers)
            .chain(self.perceptual.clone())
            .chain(pictures)
            .collect()
    }

    /// The CLIP networks.
    pub fn guides(&self, device: &Device) -> anyhow::Result<Vec<Guide>> {
        let guides = self.clip.iter();
        Ok(guides
            .map(|tower| files::guide(&tower.path, tower.weight, device))
            .collect::<Result<_, _>>()?)
    }

    /// The perceptual network.
    pub fn perceptual(&self, device: &Device) -> anyhow::Result<Option<Box<dyn ImageDistance>>> {
        let network = self
            .perceptual
            .as_deref()
            .map(|path| files::perceptual(path, device));
        Ok(network.transpose()?)
    }

    /// What a person wants to know before a long run.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let (c, length) = (&self.config, &self.length);
        let clip = self
            .clip
            .iter()
            .map(|tower| format!("{} × {}", tower.path.display(), tower.weight));
        let alignment = c.objective.alignment;
        vec![
            ("clip", clip.collect::<Vec<_>>().join(", ")),
            (
                "data",
                self.data.clone().unwrap_or_else(|| "none".to_owned()),
            ),
            (
                "weights",
                format!(
                    "expand {}, source {}, perceptual {}, squared {}",
                    c.objective.expand, c.src, alignment.lpips, alignment.l2
                ),
            ),
            (
                "learning",
                format!(
                    "batch {}, learning rate {}, seed {}",
                    c.batch, c.lr, self.seed
                ),
            ),
            (
                "length",
                format!(
                    "{} steps, a tick every {} steps, a snapshot every {} ticks",
                    length.steps, length.tick, length.snap
                ),
            ),
        ]
    }
}

/// The file of tasks, or an empty one, with the flags that were given.
fn tasks(args: &Expand) -> anyhow::Result<TaskFile> {
    let mut file = match &args.tasks {
        Some(path) => TaskFile::read(path)?,
        None => TaskFile::default(),
    };
    if let Some(path) = &args.tasks {
        beside(&mut file, path)?;
    }
    let source = args.source.as_deref().unwrap_or("photo");
    for text in &args.domain {
        let (source, target) = text.split_once("=>").unwrap_or((source, text));
        file.tasks
            .push(TaskSpec::texts(source.trim(), target.trim()));
    }
    if file.tasks.is_empty() {
        return Err(mendable(
            "no domains: give --domain \"pencil sketch\" once or more, or --tasks FILE",
        ));
    }
    let config = &mut file.settings;
    set(&mut config.batch, args.batch);
    set(&mut config.lr, args.lr);
    set(&mut config.distance, args.distance);
    set(&mut config.objective.expand, args.lambda_expand);
    set(&mut config.src, args.lambda_src);
    set(&mut config.objective.alignment.lpips, args.lambda_lpips);
    set(&mut config.objective.alignment.l2, args.lambda_l2);
    set(&mut config.gamma, args.gamma);
    set(&mut config.ema.kimg, args.ema);
    let probed = args.dimensions.as_deref().map(|how| match how {
        "probed" => Dimensions::Probed,
        _ => Dimensions::Dormant,
    });
    set(&mut config.dimensions, probed);
    file.validate()?;
    Ok(file)
}

/// Pictures of a domain are named as the file's folder sees them.
fn beside(file: &mut TaskFile, path: &Path) -> anyhow::Result<()> {
    let path = std::path::absolute(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    for picture in file.tasks.iter_mut().flat_map(|task| &mut task.pictures) {
        *picture = folder.join(&*picture);
    }
    Ok(())
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

//! What an expansion does: a file of tasks, changed by flags; or what a run did up to now.
//!
//! Length, ticks and snapshots change nothing that a step computes, so a resumed run may change them.

use std::path::{Path, PathBuf};

use candle_core::Device;
use domex_expand::{Config, TaskFile, TaskSpec, files, kept_source};
use domex_latent::ImageDistance;
use domex_nada::Guide;
use serde::{Deserialize, Serialize};

use super::dataset::Fingerprint;
use super::{Expand, inputs};
use crate::context::Context;
use crate::exit::mendable;
use crate::{models, runs};

/// Everything that `run.json` and the snapshots of a run say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A file, or the name of the random model.
    pub model: String,
    pub tasks: Vec<TaskSpec>,
    pub clip: Vec<Tower>,
    /// Of the texture term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texture: Option<Tower>,
    pub perceptual: Option<PathBuf>,
    /// A folder, a zip file, `portraits`, or nothing.
    pub data: Option<String>,
    #[serde(default)]
    pub mirror: bool,
    #[serde(default)]
    pub skip_bad: bool,
    /// What the pictures were when the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Fingerprint>,
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
    /// What tasks call it; nothing in old runs, where no task did.
    #[serde(default)]
    pub name: String,
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
    /// Of a new run of these tasks on the model of that name, which knows portraits or does not.
    pub fn new(
        context: &Context,
        args: &Expand,
        file: TaskFile,
        (name, portraits): (String, bool),
    ) -> anyhow::Result<Self> {
        let needs = file.settings.objective.alignment.lpips > 0.0
            || file.settings.objective.diversity > 0.0;
        if !portraits {
            inputs::refuse_shipped(args, &file, &name, needs)?;
        }
        let clip = inputs::towers(args, &file)?;
        let texture = file.texture_clip.as_deref();
        let texture = texture.map(|name| inputs::named(name, 1.0)).transpose()?;
        let perceptual = inputs::perceptual(args.perceptual.as_deref(), needs)?;
        let mut settings = Self {
            data: inputs::data(args.data.as_deref(), portraits),
            mirror: args.mirror.unwrap_or(false),
            skip_bad: args.skip_bad,
            pictures: None,
            model: name,
            tasks: file.tasks,
            clip,
            texture,
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

    /// Of a run that goes on, in this folder: its own, but for the length.
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
            let is_kept = path.as_os_str() == self.model.as_str() && self.kept(args).is_some();
            if !is_kept && domex_checkpoint::sha256_file(path)? != *before {
                return Err(mendable(format!(
                    "{}: has changed since the run began with it; put the old file back, or start a new run",
                    path.display()
                )));
            }
        }
        Ok(self)
    }

    /// The model's file; nothing for the random model.
    pub fn file(&self) -> Option<&Path> {
        (self.model != models::TINY_RANDOM).then(|| Path::new(&self.model))
    }

    /// The model's file that the run which is gone on with kept, if it is there and whole.
    pub fn kept(&self, args: &Expand) -> Option<PathBuf> {
        let folder = runs::folder(None, Some(args.resume.as_deref()?)).ok()?;
        let kept = kept_source(&folder, self.file()?);
        let mut hashes = self.sha256.iter();
        let (_, hash) = hashes.find(|(path, _)| Some(path.as_path()) == self.file())?;
        let found = domex_checkpoint::sha256_file(&kept).ok()?;
        (found == *hash).then_some(kept)
    }

    fn files(&self) -> Vec<PathBuf> {
        let model = self.file().map(Path::to_owned);
        let towers = self.clip.iter().chain(&self.texture);
        let towers = towers.map(|tower| tower.path.clone());
        let tasks = self.tasks.iter();
        let pictures = tasks.flat_map(|task| [&task.pictures[..], &task.texture].concat());
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
        guides.map(|tower| tower.guide(device)).collect()
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
        let falling = if c.cooldown > 0.0 {
            format!(" falling to 0 over the last {:.0} %", 100.0 * c.cooldown)
        } else {
            String::new()
        };
        let (alignment, nada) = (c.objective.alignment, &c.nada.weights);
        vec![
            ("clip", clip.collect::<Vec<_>>().join(", ")),
            (
                "data",
                self.data.clone().unwrap_or_else(|| "none".to_owned()),
            ),
            (
                "weights",
                format!(
                    "expand {} (direction {}, global {}), source {}, perceptual {}, squared {}",
                    c.objective.expand,
                    nada.direction,
                    nada.global,
                    c.src,
                    alignment.lpips,
                    alignment.l2
                ),
            ),
            (
                "learning",
                format!(
                    "batch {}, learning rate {}{falling}, seed {}",
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

impl Tower {
    /// The network, under the name that tasks call it.
    pub fn guide(&self, device: &Device) -> anyhow::Result<Guide> {
        let mut guide = files::guide(&self.path, self.weight, device)?;
        if !self.name.is_empty() {
            guide.name.clone_from(&self.name);
        }
        Ok(guide)
    }
}

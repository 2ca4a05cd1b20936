//! What an expansion does: a file of tasks changed by flags; or, of a resumed run, its settings.
//!
//! Length, ticks and snapshots change nothing that a step computes, so a resumed run may change them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use domex_data::picture::Background;
use domex_distil::{Pace, Stopped, Translator};
use domex_error::user_error;
use domex_expand::methods::adversarial::Adversarial;
use domex_expand::methods::diffusion::Diffusion;
use domex_expand::methods::{Kind as _, Needs, Networks};
use domex_expand::{Config, TaskFile, TaskSpec, kept_source};
use domex_latent::ImageDistance;
use domex_nada::Guide;
use domex_replay::{Perceptual, Recomputed};
use domex_train::stderr;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::dataset::{self, Fingerprint};
use super::teacher::TeacherFiles;
use super::{Expand, inputs};
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::{assets, runs};

/// Everything that `run.json` and the snapshots of a run say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its file.
    pub model: String,
    pub tasks: Vec<TaskSpec>,
    pub clip: Vec<ClipModel>,
    /// Of the texture term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texture: Option<ClipModel>,
    pub perceptual: Option<PathBuf>,
    /// The diffusion model that teaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherFiles>,
    /// A folder, a zip file, `portraits`, or nothing.
    pub data: Option<String>,
    #[serde(default)]
    pub mirror: bool,
    #[serde(default)]
    pub skip_bad: bool,
    #[serde(default)]
    pub background: Background,
    /// Whether pictures are resized to the generator's size.
    #[serde(default)]
    pub resize: bool,
    /// What the pictures were when the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Fingerprint>,
    /// What the folders and zips of new domains were, by their paths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sets: BTreeMap<PathBuf, Fingerprint>,
    pub seed: u64,
    pub config: Config,
    pub length: Length,
    /// SHA-256 of the files above, by their paths: a run is resumed with what it began with.
    pub sha256: runs::Hashes,
}

/// A CLIP model and its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipModel {
    /// What tasks call it.
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
    ) -> domex_error::Result<Self> {
        let needs = needs(&file)?;
        refuse_plateau(args, &file)?;
        if !portraits {
            inputs::refuse_shipped(args, &file, &name, needs)?;
        }
        let clip = match needs.clip {
            true => inputs::clip_models(args, &file)?,
            false if args.inputs.clip.is_empty() => Vec::new(),
            false => {
                return Err(user_error(
                    "--clip: no task learns by CLIP; leave it out, add a task of method \"nada\", or weigh diffusion.clip",
                ));
            }
        };
        let texture = file.texture_clip.as_deref();
        let texture = texture.map(|name| inputs::named(name, 1.0)).transpose()?;
        let perceptual = inputs::perceptual(args.inputs.perceptual.as_deref(), needs.perceptual)?;
        let teacher = match needs.teacher {
            true => Some(inputs::teacher(args, &file, &clip)?),
            false if args.inputs.teacher.is_none() && args.inputs.teacher_clip.is_none() => None,
            false => {
                let flag = match args.inputs.teacher {
                    Some(_) => "--teacher",
                    None => "--teacher-clip",
                };
                return Err(user_error(format!(
                    "{flag}: no task learns from a diffusion model; leave it out, or add --method diffusion"
                )));
            }
        };
        let mut config = file.settings;
        if config.micro_batch.is_none() && !context.team.is_alone() {
            config.micro_batch = Some((config.batch / context.team.size()).max(1));
        }
        let mut settings = Self {
            data: inputs::data(args.inputs.data.as_deref(), portraits),
            mirror: args.inputs.mirror.unwrap_or(false),
            skip_bad: args.inputs.skip_bad,
            background: args.inputs.background.unwrap_or_default(),
            resize: args.inputs.resize,
            pictures: None,
            sets: BTreeMap::new(),
            model: name,
            tasks: file.tasks,
            clip,
            texture,
            perceptual,
            teacher,
            seed: context.seed,
            config,
            length: Length {
                steps: args.length.steps.unwrap_or(1000),
                tick: args.length.tick.unwrap_or(50),
                snap: args.length.snap.unwrap_or(4),
                keep: args.length.keep.map_or(2, usize::from),
                plateau: args.length.plateau,
            },
            sha256: Vec::new(),
        };
        dataset::refuse_unused(&settings)?;
        dataset::refuse_untrained(args, &settings)?;
        settings.sha256 = runs::hashes(settings.files()?)?;
        Ok(settings)
    }

    /// Of a resumed run: its own, but for the length.
    pub fn resumed(mut self, context: &Context, args: &Expand) -> domex_error::Result<Self> {
        if let Some(seed) = context.given_seed.filter(|seed| *seed != self.seed) {
            return Err(user_error(format!(
                "--seed {seed}: the run has {}; leave it out",
                self.seed
            )));
        }
        let length = &mut self.length;
        length.steps = args.length.steps.unwrap_or(length.steps);
        length.tick = args.length.tick.unwrap_or(length.tick);
        length.snap = args.length.snap.unwrap_or(length.snap);
        length.keep = args.length.keep.map_or(length.keep, usize::from);
        for (path, before) in &self.sha256 {
            assets::restore(path)?;
            let is_kept = path.as_os_str() == self.model.as_str() && self.kept(args).is_some();
            if !is_kept {
                runs::refuse_changed(path, before)?;
            }
        }
        Ok(self)
    }

    /// The model's file.
    pub fn file(&self) -> &Path {
        Path::new(&self.model)
    }

    /// The copy of the model's file that the resumed run kept, if it is there and whole.
    pub fn kept(&self, args: &Expand) -> Option<PathBuf> {
        let folder = runs::folder(None, Some(args.resume.as_deref()?)).ok()?;
        let kept = kept_source(&folder, self.file());
        let mut hashes = self.sha256.iter();
        let (_, hash) = hashes.find(|(path, _)| path.as_path() == self.file())?;
        let found = domex_checkpoint::sha256_file(&kept).ok()?;
        (found == *hash).then_some(kept)
    }

    /// The folders and zips that its tasks name.
    pub fn paths_of_sets(&self) -> domex_error::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for task in &self.tasks {
            paths.append(&mut task.kind()?.sets(task));
        }
        Ok(paths)
    }

    fn files(&self) -> domex_error::Result<Vec<PathBuf>> {
        let teacher = self.teacher.as_ref().map(TeacherFiles::files);
        let model = self.file().to_owned();
        let clip = self.clip.iter().chain(&self.texture);
        let clip = clip.map(|model| model.path.clone());
        let tasks = self.tasks.iter();
        let own = tasks.flat_map(|task| task.kind().map_or(Vec::new(), |kind| kind.files(task)));
        Ok(std::iter::once(model)
            .chain(clip)
            .chain(self.perceptual.clone())
            .chain(teacher.transpose()?.unwrap_or_default())
            .chain(own)
            .collect())
    }

    /// The type of the numbers of the networks that losses are made of.
    pub fn type_of_losses(&self, device: &Device) -> domex_error::Result<DType> {
        match self.config.half_losses {
            true if device.is_cpu() => Err(user_error(
                "--half-losses: float16 is for GPUs, and would only take longer on the CPU; add --device cuda, or for a new run leave it out",
            )),
            true => Ok(DType::F16),
            false => Ok(DType::F32),
        }
    }

    /// The networks that losses are made of; `watch` is told how a teacher's translations come along.
    pub fn networks(
        &self,
        device: &Device,
        watch: impl Fn(Pace) + Send + Sync + 'static,
    ) -> domex_error::Result<Networks> {
        let dtype = self.type_of_losses(device)?;
        let clip = self.clip.iter().map(|model| model.guide(dtype, device));
        let texture = self.texture.as_ref();
        let texture = texture.map(|model| model.guide(dtype, device));
        let distance = self.perceptual.as_deref();
        let distance = distance.map(|path| -> domex_error::Result<Arc<dyn ImageDistance>> {
            let network = Perceptual::load_as(path, dtype, device)?;
            Ok(match self.config.low_memory {
                true => Arc::new(Recomputed(network)),
                false => Arc::new(network),
            })
        });
        let distance = distance.transpose()?;
        let teacher = self.teacher.as_ref();
        let teacher = teacher.map(|files| {
            let clip = files.chosen_by(&self.clip);
            Translator::load(&files.path, &clip, device)
        });
        Ok(Networks {
            clip: clip.collect::<domex_error::Result<_>>()?,
            texture: texture.transpose()?,
            distance,
            teacher: teacher
                .transpose()?
                .map(|teacher| Arc::new(teacher.watched(watch).checked(interrupted))),
        })
    }

    /// How much the generator's training on its source domain weighs; every kind calls it so.
    pub fn source_weight(&self) -> f64 {
        let weight = self.given_source_weight().unwrap_or(0.0);
        // Of a StyleGAN2 its size changes nothing, as published, unless that is asked for.
        match self.config.source.get("scale_src").and_then(Json::as_bool) {
            Some(false) => f64::from(u8::from(weight > 0.0)),
            _ => weight,
        }
    }

    /// The same as it was given.
    pub fn given_source_weight(&self) -> Option<f64> {
        self.config.source.get("src").and_then(Json::as_f64)
    }
}

/// A plateau is seen by a loss that compares from step to step.
fn refuse_plateau(args: &Expand, file: &TaskFile) -> domex_error::Result<()> {
    let learnt = |task: &&TaskSpec| by_discriminator(&file.settings, task);
    match file.tasks.iter().find(learnt) {
        Some(task) if args.length.plateau.is_some() => Err(user_error(format!(
            "--plateau: the loss of {:?} is measured by a discriminator that learns meanwhile, so it has no plateau; leave it \
             out, and say the length by --steps",
            task.name()
        ))),
        _ => Ok(()),
    }
}

/// Whether a discriminator learns beside the generator for this task.
pub fn by_discriminator(config: &Config, task: &TaskSpec) -> bool {
    let translated = config.diffusion.adversarial > 0.0;
    task.method() == Adversarial.name() || translated && task.method() == Diffusion.name()
}

/// Which networks the tasks and the weights of a file need.
fn needs(file: &TaskFile) -> domex_error::Result<Needs> {
    let objective = &file.settings.objective;
    let mut needs = Needs {
        perceptual: objective.alignment.lpips > 0.0 || objective.diversity > 0.0,
        ..Needs::default()
    };
    for task in &file.tasks {
        let own = task.kind()?.needs(&file.settings);
        needs.clip |= own.clip;
        needs.perceptual |= own.perceptual;
        needs.teacher |= own.teacher;
    }
    Ok(needs)
}

impl ClipModel {
    /// The network, under the name that tasks call it.
    pub fn guide(&self, dtype: DType, device: &Device) -> domex_error::Result<Guide> {
        let mut guide = Guide::load_as(&self.path, self.weight, dtype, device)?;
        guide.name.clone_from(&self.name);
        Ok(guide)
    }
}

/// Ends translations when a signal came. A run catches them from its beginning.
fn interrupted() -> Result<(), Stopped> {
    let checked = Interrupt::watch()?.check();
    Ok(checked.inspect_err(|_| {
        stderr::line(
            "interrupted before the first step; domains whose translations were whole need none again: give the same command with --force",
        );
    })?)
}

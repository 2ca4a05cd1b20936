//! Domains in words, by a text-conditional diffusion model as teacher: translate, then teach.
//!
//! Before the first step the source draws some latents; the teacher changes their pictures from what the source text says to what
//! the target says. `diffusion.renew` has it do so again with others as the run goes on. A translation is crisp where a gradient through CLIP only changes colours. Edited pictures learn
//! from it by any of three terms:
//!
//! - `diffusion.adversarial`: a discriminator, that of [`adversarial`](super::adversarial), is shown the translations as true
//!   pictures of the domain; it sees whether an edit has strokes, wherever they lie.
//! - `diffusion.paired`: the edited latent is held to its own translation by a perceptual distance and squares, which blur what is
//!   fine and lies elsewhere in every target. These two together are the default.
//! - `diffusion.score`: the teacher draws the edited picture anew from some noise and the edit is held to that: score distillation
//!   in its form of x₀ (DreamFusion, Poole et al. 2022, arXiv 2209.14988; of a generator, StyleGAN-Fusion, Song et al., WACV 2024).
//!
//! `diffusion.clip` puts the loss of [`nada`](super::nada) for the same two texts beside them.

mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use domex_distil::{Request, Translation, Translator, Way, targets};
use domex_latent::ImageDistance;
use domex_mystyle::reconstruction;
use domex_ops::upload;
use domex_random::Stream;
use domex_train::{Measures, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

pub use self::settings::{DiffusionConfig, ScoreConfig};

use super::discriminator::{TrainedDiscriminator, pick};
use super::nada::ByClip;
use super::{Kind, ListFiles, Needs, World, keys};
use crate::method::{Shown, SourcePictures, Turn};
use crate::step::normal;
use crate::{Config, Error, LossPart, Method, Result, Sampled, Samples, TaskSpec};

/// The method's line of registration.
pub struct Diffusion;

/// Keys of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// What the generator makes, in words.
    #[serde(default = "photo")]
    source: String,
    /// What it should make, in words.
    target: String,
    /// The time of the most noise; else as the settings say.
    #[serde(default)]
    time: Option<f64>,
    /// How far the prediction is carried on; else as the settings say.
    #[serde(default)]
    guidance: Option<f64>,
    /// The time below which the target is followed alone; else as the settings say.
    #[serde(default)]
    target_only: Option<f64>,
}

impl Keys {
    fn translation(&self, settings: &Translation) -> Translation {
        Translation {
            time: self.time.unwrap_or(settings.time),
            guidance: self.guidance.unwrap_or(settings.guidance),
            target_only: self.target_only.unwrap_or(settings.target_only),
            ..*settings
        }
    }
}

fn photo() -> String {
    "photo".to_owned()
}

/// From `source` to `target` in words, all else left open.
pub fn texts(source: impl Into<String>, target: impl Into<String>) -> TaskSpec {
    let mut task = TaskSpec::of(&Diffusion);
    task.set("source", json!(source.into()));
    task.set("target", json!(target.into()));
    task
}

impl Kind for Diffusion {
    fn name(&self) -> &'static str {
        "diffusion"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["source", "target", "time", "guidance", "target_only"]
    }

    fn default_name(&self, task: &TaskSpec) -> String {
        let target = task.keys().get("target").and_then(Json::as_str);
        target.unwrap_or_default().to_owned()
    }

    fn check(&self, task: &TaskSpec) -> Result<()> {
        let own: Keys = keys(task)?;
        for (key, text) in [("source", &own.source), ("target", &own.target)] {
            if text.trim().is_empty() {
                return Err(Error::setting(key, "an empty text", "a few words"));
            }
        }
        if own.source.trim() == own.target.trim() {
            let expected = "words other than the source's";
            return Err(Error::setting("target", &own.target, expected));
        }
        let checked = own.translation(&Translation::default()).validate();
        checked.map_err(|error| Error::setting("keys", error, "a translation"))
    }

    fn resolve(&self, _: &mut TaskSpec, _: &dyn ListFiles) -> Result<()> {
        Ok(())
    }

    fn files(&self, _: &TaskSpec) -> Vec<PathBuf> {
        Vec::new()
    }

    fn needs(&self, settings: &Config) -> Needs {
        Needs {
            clip: settings.diffusion.clip > 0.0,
            perceptual: true,
            teacher: true,
        }
    }

    fn describe(&self, task: &TaskSpec) -> String {
        keys(task).map_or(String::new(), |own: Keys| {
            format!("{} → {}, by a diffusion model", own.source, own.target)
        })
    }

    fn record(&self, task: &TaskSpec) -> Json {
        keys(task).map_or(
            Json::Null,
            |own: Keys| json!({ "type": "diffusion", "source": own.source, "target": own.target }),
        )
    }

    fn official(&self, _: &Json) -> std::result::Result<TaskSpec, String> {
        Err("the published programs have no method of this name".to_owned())
    }

    fn build(&self, tasks: &[&TaskSpec], world: &World<'_>) -> Result<Box<dyn Method>> {
        let Some(teacher) = world.networks.teacher.clone() else {
            let expected = "a diffusion model: the method learns from its pictures";
            return Err(Error::setting("teacher of diffusion", "none", expected));
        };
        let Some(distance) = world.networks.distance.clone() else {
            let expected = "a perceptual network: the method compares pictures by it";
            let what = "perceptual distance of diffusion";
            return Err(Error::setting(what, "none", expected));
        };
        if let Some(size) = teacher.size().filter(|size| *size != world.resolution) {
            let expected = format!("{0} × {0}, as the generator's", world.resolution);
            let found = format!("{size} × {size}");
            return Err(Error::setting("pictures of the teacher", found, expected));
        }
        let config = world.config.diffusion;
        if config.keep < 1.0 && !teacher.chooses() {
            let expected = "1 where no CLIP model is there to choose translations by";
            return Err(Error::setting("diffusion.keep", config.keep, expected));
        }
        let requests = tasks.iter().map(|task| {
            let own: Keys = keys(task)?;
            if let (Some(time), Way::Inversion) = (own.target_only, config.translation.way) {
                let expected = "no such key where diffusion.translation.way is \"inversion\"";
                return Err(Error::setting("target_only", time, expected));
            }
            Ok(Request {
                how: own.translation(&config.translation),
                source: own.source,
                target: own.target,
                keep: config.keep,
            })
        });
        let requests = requests.collect::<Result<Vec<Request>>>()?;
        let texts = requests.iter().map(|request| {
            let texts = [&request.source, &request.target].map(|text| teacher.features(text));
            let [source, target] = texts;
            Ok([source?, target?])
        });
        let discriminator = (config.adversarial > 0.0).then(|| {
            let names = tasks.iter().map(|task| task.name()).collect();
            let mut settings = world.config.adversarial.clone();
            if config.paired > 0.0 {
                settings.correspondence = 0.0;
            }
            TrainedDiscriminator::new(DISCRIMINATOR, names, settings, world)
        });
        let words = requests.iter().zip(tasks).map(|(request, task)| {
            let mut words = domex_nada::Task::texts(&request.source, &request.target);
            words.name = task.name();
            words
        });
        let words = (config.clip > 0.0).then(|| ByClip::new(world, |_| Ok(words.collect())));
        Ok(Box::new(ByTranslation {
            words: words.transpose()?,
            discriminator: discriminator.transpose()?,
            texts: texts.collect::<Result<_>>()?,
            requests,
            cache: world.cache.map(Path::to_owned),
            pools: Vec::new(),
            renewed: 0,
            config,
            distance,
            teacher,
        }))
    }
}

/// Latents `[k, D]` of a domain and what their edited pictures should be `[k, 3, h, w]`.
struct Pool {
    latents: Tensor,
    pictures: Tensor,
}

impl Pool {
    /// Puts `fresh` in the place of the oldest.
    fn renew(&mut self, fresh: &Self) -> Result<()> {
        let renewed = |old: &Tensor, fresh: &Tensor| -> Result<Tensor> {
            let n = fresh.dim(0)?.min(old.dim(0)?);
            Ok(Tensor::cat(
                &[&old.narrow(0, n, old.dim(0)? - n)?, fresh],
                0,
            )?)
        };
        self.latents = renewed(&self.latents, &fresh.latents)?;
        self.pictures = renewed(&self.pictures, &fresh.pictures)?;
        Ok(())
    }
}

/// Parts of a pool that are renewed one after the other: after as many nothing is left of what there was.
const PARTS: u64 = 8;

/// Edited pictures are held to translations of the source's.
pub struct ByTranslation {
    teacher: Arc<Translator>,
    distance: Arc<dyn ImageDistance>,
    requests: Vec<Request>,
    /// What the teacher reads of the source text and of the target of each, `[1, ..]`.
    texts: Vec<[Tensor; 2]>,
    config: DiffusionConfig,
    cache: Option<PathBuf>,
    /// One for each request, once they are made.
    pools: Vec<Pool>,
    /// How often they were renewed.
    renewed: u64,
    discriminator: Option<TrainedDiscriminator>,
    /// The same tasks by CLIP.
    words: Option<ByClip>,
}

/// The discriminator's name in events and snapshots.
const DISCRIMINATOR: &str = "diffusion.discriminator";

impl Method for ByTranslation {
    fn name(&self) -> &str {
        Diffusion.name()
    }

    fn prepare(&mut self, source: &dyn SourcePictures) -> Result<()> {
        self.pools = self.translated(source, "targets", self.config.targets)?;
        Ok(())
    }

    fn renew(&mut self, step: u64, source: &dyn SourcePictures) -> Result<()> {
        let due = step
            .checked_div(u64::from(self.config.renew))
            .unwrap_or_default();
        // Of a run that is resumed: earlier ones have left the pools since.
        let lasting = due.saturating_sub(PARTS);
        self.renewed = self.renewed.max(lasting);
        while self.renewed < due {
            self.renewed += 1;
            let n = self.config.targets.div_ceil(PARTS as usize);
            let fresh = self.translated(source, &format!("targets {}", self.renewed), n)?;
            for (pool, fresh) in self.pools.iter_mut().zip(fresh) {
                pool.renew(&fresh)?;
            }
        }
        Ok(())
    }

    fn sample(&self, tasks: &[usize], random: &Tensor, stream: &mut Stream) -> Result<Sampled> {
        if self.config.paired == 0.0 {
            return Ok(Sampled {
                latents: random.clone(),
                targets: None,
            });
        }
        let (mut latents, mut targets) = (Vec::new(), Vec::new());
        for &task in tasks {
            let missing = || Error::setting("task number", task, "one with targets");
            let pool = self.pools.get(task).ok_or_else(missing)?;
            let at = stream
                .index(pool.latents.dim(0)?)
                .map_err(|error| Error::setting("targets", error, "at least one"))?;
            latents.push(pool.latents.narrow(0, at, 1)?);
            targets.push(pool.pictures.narrow(0, at, 1)?);
        }
        Ok(Sampled {
            latents: Tensor::cat(&latents, 0)?,
            targets: Some(Tensor::cat(&targets, 0)?),
        })
    }

    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<LossPart> {
        let mut terms = Vec::new();
        if self.config.paired > 0.0 {
            let Some(targets) = samples.targets else {
                let expected = "a picture for each sample of this method";
                return Err(Error::setting("target pictures", "none", expected));
            };
            let loss = reconstruction(samples.edited, targets, &*self.distance, self.config.l2)?;
            terms.push((self.config.paired, loss.total, loss.per_sample));
        }
        if self.config.score.weight > 0.0 {
            let score = self.score(samples, stream)?;
            terms.push((self.config.score.weight, score.sum_all()?, score.detach()));
        }
        if let Some(discriminator) = &self.discriminator {
            let (total, per_sample) = discriminator.loss(samples, stream)?;
            terms.push((self.config.adversarial, total, per_sample));
        }
        if let Some(words) = &self.words {
            let by_clip = words.loss(samples, stream)?;
            terms.push((self.config.clip, by_clip.total, by_clip.per_sample));
        }
        let (dtype, device) = (samples.edited.dtype(), samples.edited.device());
        let mut part = LossPart {
            total: Tensor::zeros((), dtype, device)?,
            per_sample: Tensor::zeros(samples.tasks.len(), dtype, device)?,
        };
        for (weight, total, per_sample) in terms {
            part.total = (part.total + (total * weight)?)?;
            part.per_sample = (part.per_sample + (per_sample.to_dtype(dtype)? * weight)?)?;
        }
        Ok(part)
    }

    fn wants_one_task(&self) -> bool {
        self.discriminator.is_some()
    }

    fn is_measured_by_what_it_trains(&self) -> bool {
        self.discriminator.is_some()
    }

    fn learn(&mut self, passes: &[Shown], turn: &mut Turn<'_>) -> Result<()> {
        let Some(discriminator) = &mut self.discriminator else {
            return Ok(());
        };
        let pools = &self.pools;
        discriminator.learn(passes, turn, |stream, domain, n| {
            let pictures = &pools[domain].pictures;
            let rows = pick(stream, pictures.dim(0)?, n)?.into_iter();
            let rows: Vec<u32> = rows.map(|row| row as u32).collect();
            let rows = upload(&Tensor::new(rows, &Device::Cpu)?, pictures.device())?;
            Ok(pictures.contiguous()?.index_select(&rows, 0)?)
        })
    }

    fn measures(&self, measures: &mut Measures) {
        if let Some(discriminator) = &self.discriminator {
            discriminator.measures(measures);
        }
    }

    fn save(&self, state: &mut State) -> Result<()> {
        self.discriminator
            .as_ref()
            .map_or(Ok(()), |own| own.save(state))
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.discriminator
            .as_mut()
            .map_or(Ok(()), |own| own.restore(state))
    }
}

impl ByTranslation {
    /// For each request the translations of `n` pictures by the source that are kept.
    fn translated(
        &self,
        source: &dyn SourcePictures,
        purpose: &str,
        n: usize,
    ) -> Result<Vec<Pool>> {
        let (latents, base) = source.draw(purpose, n)?;
        let base = base.clamp(-1.0, 1.0)?;
        let pool = |request: &Request| -> Result<Pool> {
            let made = targets(&self.teacher, &base, request, self.cache.as_deref())?;
            let rows: Vec<u32> = made.rows.iter().map(|&row| row as u32).collect();
            let rows = Tensor::new(rows, latents.device())?;
            Ok(Pool {
                latents: latents.contiguous()?.index_select(&rows, 0)?,
                pictures: made.pictures,
            })
        };
        self.requests.iter().map(pool).collect()
    }

    /// How far each edited picture is from what the teacher makes of it `[m]`.
    fn score(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<Tensor> {
        let (how, edited) = (&self.config.score, samples.edited);
        let [from, to] = how.times;
        let times: Vec<f64> = samples
            .tasks
            .iter()
            .map(|_| from + (to - from) * stream.uniform_f64())
            .collect();
        let noise = self.teacher.noise_shape(edited)?;
        let noise = normal(stream, &noise, edited.device())?;
        let text = |which: usize| -> Result<Tensor> {
            let rows: Vec<&Tensor> = samples
                .tasks
                .iter()
                .map(|&task| &self.texts[task][which])
                .collect();
            Ok(Tensor::cat(&rows, 0)?)
        };
        let drawn =
            self.teacher
                .redraw(edited, &noise, &times, [&text(0)?, &text(1)?], how.guidance)?;
        Ok((edited - drawn)?.sqr()?.flatten_from(1)?.mean(1)?)
    }
}

//! Domains in words or in a few pictures, by CLIP: StyleGAN-NADA (Gal et al. 2021, arXiv 2108.00946).

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_nada::{Guide, Prepared, Task};
use domex_random::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Kind, ListFiles, Needs, World, file_names, keys, resolve_list};
use crate::suggest::{nearest, with_suggestion};
use crate::{Config, Error, LossPart, Method, Result, Samples, TaskSpec};

/// The method's line of registration.
pub struct Nada;

/// Keys of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// What the generator makes, in words.
    #[serde(default = "photo")]
    source: String,
    /// What it should make, in words; empty where pictures say it.
    #[serde(default)]
    target: String,
    /// Pictures of the domain, which then count instead of the words.
    #[serde(default)]
    pictures: Vec<PathBuf>,
    /// Pictures of a texture, for the texture term.
    #[serde(default)]
    texture: Vec<PathBuf>,
    /// The CLIP models that look at it, by their names; none given, all of them.
    #[serde(default)]
    clip: Vec<String>,
}

fn photo() -> String {
    "photo".to_owned()
}

/// From `source` to `target` in words, all else left open.
pub fn texts(source: impl Into<String>, target: impl Into<String>) -> TaskSpec {
    let mut task = TaskSpec::of(&Nada);
    task.set("source", json!(source.into()));
    task.set("target", json!(target.into()));
    task
}

/// As `pictures` show it, all else left open.
pub fn pictures(name: impl Into<String>, pictures: &[PathBuf]) -> TaskSpec {
    let mut task = TaskSpec::of(&Nada);
    task.name = Some(name.into());
    task.set("pictures", json!(pictures));
    task
}

impl Kind for Nada {
    fn name(&self) -> &'static str {
        "nada"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["source", "target", "pictures", "texture", "clip"]
    }

    fn default_name(&self, task: &TaskSpec) -> String {
        task.keys()
            .get("target")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    fn check(&self, task: &TaskSpec) -> Result<()> {
        let own: Keys = keys(task)?;
        let empty = |key: &str, expected: &str| Err(Error::setting(key, "an empty text", expected));
        if own.source.trim().is_empty() {
            return empty("source", "a few words");
        }
        if own.pictures.is_empty() && own.target.trim().is_empty() {
            return empty("target", "a few words, or pictures of the domain");
        }
        if task.name().is_empty() {
            return empty("name", "what to call the domain, as it has no words");
        }
        if own.pictures.is_empty() && own.source.trim() == own.target.trim() {
            let expected = "words other than the source's";
            return Err(Error::setting("target", &own.target, expected));
        }
        Ok(())
    }

    fn resolve(&self, task: &mut TaskSpec, list: &dyn ListFiles) -> Result<()> {
        resolve_list(task, "pictures", list)?;
        resolve_list(task, "texture", list)
    }

    fn files(&self, task: &TaskSpec) -> Vec<PathBuf> {
        keys(task).map_or(Vec::new(), |own: Keys| [own.pictures, own.texture].concat())
    }

    fn needs(&self, _: &Config) -> Needs {
        Needs {
            clip: true,
            ..Needs::default()
        }
    }

    fn describe(&self, task: &TaskSpec) -> String {
        match keys::<Keys>(task) {
            Ok(own) if own.pictures.is_empty() => format!("{} → {}", own.source, own.target),
            Ok(own) => match own.pictures.len() {
                1 => "1 picture".to_owned(),
                n => format!("{n} pictures"),
            },
            Err(_) => String::new(),
        }
    }

    fn texts(&self, task: &TaskSpec) -> Vec<String> {
        match keys::<Keys>(task) {
            Ok(own) if own.pictures.is_empty() => vec![own.source, own.target],
            _ => Vec::new(),
        }
    }

    fn record(&self, task: &TaskSpec) -> Json {
        match keys::<Keys>(task) {
            Ok(own) if own.pictures.is_empty() => {
                json!({ "type": "nada", "source": own.source, "target": own.target })
            }
            Ok(own) => json!({ "type": "nada", "pictures": file_names(&own.pictures) }),
            Err(_) => Json::Null,
        }
    }

    fn official(&self, args: &Json) -> std::result::Result<TaskSpec, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Args {
            source_text: String,
            target_text: String,
        }
        let args: Args = serde_json::from_value(args.clone())
            .map_err(|error| with_suggestion(&error.to_string()))?;
        Ok(texts(args.source_text, args.target_text))
    }

    fn build(&self, tasks: &[&TaskSpec], world: &World<'_>) -> Result<Box<dyn Method>> {
        let by_clip = ByClip::new(world, |guides| {
            let tasks = tasks.iter().map(|task| clip_task(task, guides, world));
            tasks.collect()
        })?;
        Ok(Box::new(by_clip))
    }
}

/// The loss by CLIP, and what it knows of the tasks.
#[derive(Debug, Clone)]
pub struct ByClip {
    /// Models and terms.
    pub nada: domex_nada::Nada,
    /// The tasks, in the method's numbering.
    pub tasks: Prepared,
}

impl ByClip {
    /// By the run's CLIP models, to which `tasks` may refer by their places.
    pub(super) fn new(
        world: &World<'_>,
        tasks: impl FnOnce(&[Guide]) -> Result<Vec<Task>>,
    ) -> Result<Self> {
        let weights = &world.config.nada.weights;
        for (key, weight) in [
            ("nada.weights.in_domain", weights.in_domain),
            ("nada.weights.target_direction", weights.target_direction),
        ] {
            world.config.check_compared(key, weight, 2)?;
        }
        let mut guides = world.networks.clip.clone();
        let mut texture = world.networks.texture.clone();
        for guide in guides.iter_mut().chain(&mut texture) {
            guide.antialias |= world.config.antialias;
        }
        let nada = match texture {
            Some(texture) => domex_nada::Nada::with_texture(guides, texture, world.config.nada)?,
            None => domex_nada::Nada::new(guides, world.config.nada)?,
        };
        let tasks = tasks(nada.guides())?;
        for (key, weight) in [
            ("nada.weights.target_direction", weights.target_direction),
            ("nada.weights.contrastive", weights.contrastive),
        ] {
            if weight > 0.0 && tasks.len() < 2 {
                let expected = "0, or two domains or more, which it compares";
                return Err(Error::setting(key, weight, expected));
            }
        }
        Ok(Self {
            tasks: nada.prepare(&tasks, world.cache)?,
            nada: nada.without_texts(),
        })
    }
}

impl Method for ByClip {
    fn name(&self) -> &str {
        Nada.name()
    }

    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<LossPart> {
        let Samples {
            tasks,
            base,
            edited,
            ..
        } = samples;
        let loss = self.nada.loss(&self.tasks, base, edited, tasks, stream)?;
        Ok(LossPart {
            total: loss.total,
            per_sample: loss.per_sample,
        })
    }

    fn distance_to_domain(&self, tasks: &[usize], pictures: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.nada.global(&self.tasks, pictures, tasks)?))
    }
}

/// The task for CLIP: in words, or in pictures against some that the source makes.
fn clip_task(task: &TaskSpec, guides: &[Guide], world: &World<'_>) -> Result<Task> {
    let own: Keys = keys(task)?;
    let mut clip = match own.pictures.is_empty() {
        true => Task::texts(&own.source, &own.target),
        false => Task::pictures(
            "",
            (world.source_pictures)()?,
            own.pictures
                .iter()
                .map(|path| Ok(picture::read(path)?))
                .collect::<Result<_>>()?,
        ),
    };
    task.name().clone_into(&mut clip.name);
    clip.texture = read(&own.texture, world.device)?;
    clip.guides = numbers(task, &own.clip, guides)?;
    Ok(clip)
}

/// Pictures `[1, 3, h, w]`, each of its own size.
fn read(paths: &[PathBuf], device: &Device) -> Result<Vec<Tensor>> {
    let read = |path: &PathBuf| {
        let picture = [picture::read(path)?];
        Ok(picture::from_rgb(&picture, DType::F32, device)?)
    };
    paths.iter().map(read).collect()
}

/// The numbers of the models that a task names: by their names, or by files that they are named after.
fn numbers(task: &TaskSpec, clip: &[String], guides: &[Guide]) -> Result<Vec<usize>> {
    let mut numbers = Vec::with_capacity(clip.len());
    for wanted in clip {
        let stem = Path::new(wanted).file_stem().unwrap_or_default();
        let fits = |guide: &Guide| guide.name == *wanted || stem == guide.name.as_str();
        let found: Vec<usize> = (0..guides.len()).filter(|&i| fits(&guides[i])).collect();
        let what = || format!("clip of {}", task.called());
        match found[..] {
            [number] if numbers.contains(&number) => {
                let expected = "each model once";
                return Err(Error::setting(
                    what(),
                    format!("{wanted:?} twice"),
                    expected,
                ));
            }
            [number] => numbers.push(number),
            [] => {
                let names = || guides.iter().map(|guide| guide.name.as_str());
                let hint = nearest(wanted, names())
                    .map_or(String::new(), |name| format!("; did you mean {name:?}?"));
                let names = names().collect::<Vec<_>>().join(", ");
                let expected = format!("one of the run's CLIP models, {names}{hint}");
                return Err(Error::setting(what(), format!("{wanted:?}"), expected));
            }
            _ => {
                let expected = "the name of one model; several are called so";
                return Err(Error::setting(what(), format!("{wanted:?}"), expected));
            }
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use domex_test_support::networks;

    use super::*;
    use crate::Networks;

    #[test]
    fn a_task_names_a_model_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clip.safetensors");
        networks::clip(&file, 1);
        let guides = [Guide::load(&file, 1.0, &Device::Cpu).unwrap()];
        let task = TaskSpec::texts("photo", "elf");
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            numbers(&task, &names, &guides)
        };
        assert_eq!(of(&["clip"]).unwrap(), [0]);
        let error = of(&["clip", "clip.safetensors"]).unwrap_err().to_string();
        assert!(error.contains("each model once"), "{error}");
    }

    #[test]
    fn a_run_holds_no_text_encoder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clip.safetensors");
        networks::clip(&file, 1);
        let networks = Networks {
            clip: vec![Guide::load(&file, 1.0, &Device::Cpu).unwrap()],
            ..Networks::default()
        };
        let world = World {
            config: &Config::default(),
            networks: &networks,
            cache: None,
            device: &Device::Cpu,
            latent_dim: 4,
            resolution: 16,
            seed: 0,
            discriminator: None,
            sets: &super::super::Sets::new(),
            source_pictures: &|| Err(Error::setting("pictures", "none", "none are asked for")),
        };
        let by_clip = ByClip::new(&world, |_| Ok(vec![Task::texts("photo", "elf")])).unwrap();
        let reads = |guide: &Guide| guide.clip.text_fingerprint().is_ok();
        assert!(networks.clip.iter().all(reads));
        assert!(!by_clip.nada.guides().iter().any(reads));
    }
}

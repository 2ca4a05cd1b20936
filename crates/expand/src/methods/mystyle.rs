//! A person, or a thing, from a few pictures and their latents: MyStyle (Nitzan et al. 2022, arXiv 2203.17272).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Tensor};
use domex_data::picture;
use domex_latent::ImageDistance;
use domex_mystyle::{Anchors, reconstruction};
use domex_random::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Kind, ListFiles, Needs, World, file_names, keys, resolve_list, resolve_path};
use crate::suggest::with_suggestion;
use crate::{Config, Error, LossPart, Method, Result, Sampled, Samples, TaskSpec};

/// The method's line of registration.
pub struct MyStyle;

/// Settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MyStyleConfig {
    /// Weight of the squared difference beside the perceptual distance.
    pub l2: f64,
}

impl Default for MyStyleConfig {
    fn default() -> Self {
        Self { l2: 1.0 }
    }
}

impl MyStyleConfig {
    /// # Errors
    ///
    /// A weight that is negative or not finite.
    pub fn validate(&self) -> Result<()> {
        match self.l2.is_finite() && self.l2 >= 0.0 {
            true => Ok(()),
            false => Err(Error::setting("mystyle.l2", self.l2, "0 or more")),
        }
    }
}

/// Keys of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// The person's pictures.
    pictures: Vec<PathBuf>,
    /// Their latents: a file with all of them, or a folder with one file for each, named like its picture.
    anchors: PathBuf,
}

/// `pictures` of a person with their latents, all else left open.
pub fn person(name: impl Into<String>, pictures: &[PathBuf], anchors: &Path) -> TaskSpec {
    let mut task = TaskSpec::of(&MyStyle);
    task.name = Some(name.into());
    task.set("pictures", json!(pictures));
    task.set("anchors", json!(anchors));
    task
}

impl Kind for MyStyle {
    fn name(&self) -> &'static str {
        "mystyle"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["pictures", "anchors"]
    }

    fn default_name(&self, _: &TaskSpec) -> String {
        String::new()
    }

    fn check(&self, task: &TaskSpec) -> Result<()> {
        let own: Keys = keys(task)?;
        if task.name().is_empty() {
            return Err(Error::setting("name", "nothing", "what to call the person"));
        }
        if own.pictures.is_empty() {
            let expected = "files or a folder of pictures of the person";
            return Err(Error::setting("pictures", "none", expected));
        }
        if own.anchors.as_os_str().is_empty() {
            let expected = "the pictures' latents: a file, or a folder with one for each picture";
            return Err(Error::setting("anchors", "an empty path", expected));
        }
        Ok(())
    }

    fn resolve(&self, task: &mut TaskSpec, list: &dyn ListFiles) -> Result<()> {
        resolve_list(task, "pictures", list)?;
        resolve_path(task, "anchors", list)
    }

    fn files(&self, task: &TaskSpec) -> Vec<PathBuf> {
        let Ok(own) = keys::<Keys>(task) else {
            return Vec::new();
        };
        let mut anchors = match std::fs::read_dir(&own.anchors) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(_) => vec![own.anchors],
        };
        anchors.retain(|path| !path.is_dir());
        anchors.sort();
        [own.pictures, anchors].concat()
    }

    fn needs(&self, _: &Config) -> Needs {
        Needs {
            perceptual: true,
            ..Needs::default()
        }
    }

    fn describe(&self, task: &TaskSpec) -> String {
        keys(task).map_or(String::new(), |own: Keys| {
            format!("a person in {} pictures", own.pictures.len())
        })
    }

    fn record(&self, task: &TaskSpec) -> Json {
        keys(task).map_or(
            Json::Null,
            |own: Keys| json!({ "type": "mystyle", "pictures": file_names(&own.pictures) }),
        )
    }

    fn official(&self, args: &Json) -> std::result::Result<TaskSpec, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Args {
            person_name: String,
            images_dir: PathBuf,
            anchors_dir: PathBuf,
        }
        let args: Args = serde_json::from_value(args.clone())
            .map_err(|error| with_suggestion(&error.to_string()))?;
        for (key, path) in [
            ("images_dir", &args.images_dir),
            ("anchors_dir", &args.anchors_dir),
        ] {
            if path.as_os_str().is_empty() {
                return Err(format!(
                    "{key} of {:?}: an empty path, expected a folder",
                    args.person_name
                ));
            }
        }
        Ok(person(
            args.person_name,
            &[args.images_dir],
            &args.anchors_dir,
        ))
    }

    fn build(&self, tasks: &[&TaskSpec], world: &World<'_>) -> Result<Box<dyn Method>> {
        let Some(distance) = world.networks.distance.clone() else {
            let expected = "a perceptual network: the method compares pictures by it";
            return Err(Error::setting(
                "perceptual distance of mystyle",
                "none",
                expected,
            ));
        };
        let people = tasks.iter().map(|task| Person::read(task, world));
        Ok(Box::new(ByPictures {
            distance,
            l2: world.config.mystyle.l2,
            people: people.collect::<Result<_>>()?,
        }))
    }
}

/// A person's pictures `[k, 3, h, w]` and latents `[k, D]`.
struct Person {
    pictures: Tensor,
    anchors: Tensor,
}

impl Person {
    fn read(task: &TaskSpec, world: &World<'_>) -> Result<Self> {
        let own: Keys = keys(task)?;
        let names = own
            .pictures
            .iter()
            .map(|path| path.file_stem().unwrap_or_default().to_string_lossy());
        let names: Vec<_> = names.collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let anchors = Anchors::read(&own.anchors, world.latent_dim)?.for_pictures(&names)?;
        let side = world.resolution;
        let picture = |path: &PathBuf| -> Result<Tensor> {
            let picture = picture::read(path)?;
            if (picture.width() as usize, picture.height() as usize) != (side, side) {
                let found = format!("{} × {} pixels", picture.width(), picture.height());
                let expected = format!("{side} × {side}, as the generator's pictures");
                return Err(Error::file(path, format!("{found}, expected {expected}")));
            }
            Ok(picture::from_rgb(&[picture], DType::F32, world.device)?)
        };
        let pictures = own
            .pictures
            .iter()
            .map(picture)
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            pictures: Tensor::cat(&pictures, 0)?,
            anchors: anchors
                .latents()
                .to_dtype(DType::F32)?
                .to_device(world.device)?,
        })
    }
}

/// Anchors and their pictures: the edited latent of an anchor should give its picture.
pub struct ByPictures {
    distance: Arc<dyn ImageDistance>,
    l2: f64,
    people: Vec<Person>,
}

impl ByPictures {
    /// Without people: for those who bring latents and pictures themselves.
    pub fn known(distance: Arc<dyn ImageDistance>, l2: f64) -> Self {
        Self {
            distance,
            l2,
            people: Vec::new(),
        }
    }
}

impl Method for ByPictures {
    fn name(&self) -> &str {
        MyStyle.name()
    }

    fn sample(&self, tasks: &[usize], _: &Tensor, stream: &mut Stream) -> Result<Sampled> {
        let (mut latents, mut targets) = (Vec::new(), Vec::new());
        for &task in tasks {
            let missing = || Error::setting("task number", task, "that of a person");
            let person = self.people.get(task).ok_or_else(missing)?;
            let count = person.anchors.dim(0)?;
            let at = stream
                .index(count)
                .map_err(|error| Error::setting("anchors", error, "at least one"))?;
            latents.push(person.anchors.narrow(0, at, 1)?);
            targets.push(person.pictures.narrow(0, at, 1)?);
        }
        Ok(Sampled {
            latents: Tensor::cat(&latents, 0)?,
            targets: Some(Tensor::cat(&targets, 0)?),
        })
    }

    fn loss(&self, samples: &Samples<'_>, _: &mut Stream) -> Result<LossPart> {
        let Some(targets) = samples.targets else {
            let expected = "a picture for each sample of this method";
            return Err(Error::setting("target pictures", "none", expected));
        };
        let loss = reconstruction(samples.edited, targets, &*self.distance, self.l2)?;
        Ok(LossPart {
            total: loss.total,
            per_sample: loss.per_sample,
        })
    }
}

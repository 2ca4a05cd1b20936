//! The methods that a file of tasks can name, and what each of them owns: the keys of its tasks, its settings, what the
//! model's file says of its domains, and how it is made from files.
//!
//! | `method` | a domain is said by | loss of its samples |
//! | --- | --- | --- |
//! | [`nada`] | words, or a few pictures, by CLIP | Σ over CLIP models and samples of weight · (1 − cos(edit, text direction)), and what else `domex_nada` is set to |
//! | [`diffusion`] | words, by a text-conditional diffusion model | d(edited, translation) + l2 · mean (edited − translation)² |
//! | [`adversarial`] | a folder or zip of pictures, by a discriminator | softplus(−D(edited)) + correspondence · KL of likenesses |
//! | [`mystyle`] | pictures of a person with their latents, the anchors | Σ d(edited, picture) + l2 · mean over c, h, w of Σ (edited − picture)² |
//!
//! A new one is a file here with a [`Kind`], and a line in [`KINDS`].

pub mod adversarial;
pub mod diffusion;
mod discriminator;
pub mod mystyle;
pub mod nada;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use domex_data::source::PictureSource;
use domex_distil::Translator;
use domex_gan::Discriminator;
use domex_latent::ImageDistance;
use domex_nada::Guide;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

pub(crate) use discriminator::augmentation;

use crate::suggest::{nearest, with_suggestion};
use crate::{Config, Error, Method, Result, TaskSpec};

/// All methods; the first is that of a task which names none.
pub const KINDS: [&dyn Kind; 4] = [
    &nada::Nada,
    &mystyle::MyStyle,
    &diffusion::Diffusion,
    &adversarial::Adversarial,
];

/// What can be said of a method before there are networks.
pub trait Kind: Sync {
    /// What a task calls it.
    fn name(&self) -> &'static str;

    /// Its keys of a task, beside those that every task has.
    fn keys(&self) -> &'static [&'static str];

    /// What a domain is called whose task does not say it; empty where there is nothing to call it by.
    fn default_name(&self, task: &TaskSpec) -> String;

    /// Checks what can be checked without a model.
    ///
    /// # Errors
    ///
    /// A key of the wrong type, or what makes no sense.
    fn check(&self, task: &TaskSpec) -> Result<()>;

    /// Writes its files as `list` finds them: absolute, and folders as the pictures in them.
    ///
    /// # Errors
    ///
    /// Those of `list`.
    fn resolve(&self, task: &mut TaskSpec, list: &dyn ListFiles) -> Result<()>;

    /// The files that it reads.
    fn files(&self, task: &TaskSpec) -> Vec<PathBuf>;

    /// The folders or zips that it trains on, which those who build it [open](Sets).
    fn sets(&self, _: &TaskSpec) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Which networks its tasks need under these settings.
    fn needs(&self, settings: &Config) -> Needs;

    /// What a person reads of the task: `photo → zombie`.
    fn describe(&self, task: &TaskSpec) -> String;

    /// The texts that CLIP models read for the task.
    fn texts(&self, _: &TaskSpec) -> Vec<String> {
        Vec::new()
    }

    /// What the model's file says of the domain.
    fn record(&self, task: &TaskSpec) -> Json;

    /// The task that the official JSON describes by `args`.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    fn official(&self, args: &Json) -> std::result::Result<TaskSpec, String>;

    /// The method for these tasks, in their order.
    ///
    /// # Errors
    ///
    /// A network that is missing, or a file that cannot be used.
    fn build(&self, tasks: &[&TaskSpec], world: &World<'_>) -> Result<Box<dyn Method>>;
}

/// Paths as absolute ones.
pub trait ListFiles {
    /// One path, whatever it is.
    ///
    /// # Errors
    ///
    /// The folder that it is relative to cannot be found.
    fn absolute(&self, path: &Path) -> Result<PathBuf>;

    /// Files as they are, and for a folder the pictures in it.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read, or has no pictures.
    fn pictures(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>>;
}

/// Sets of pictures by the path of their folder or zip.
pub type Sets = BTreeMap<PathBuf, Arc<dyn PictureSource>>;

/// Networks that a method asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// CLIP models.
    pub clip: bool,
    /// A perceptual distance.
    pub perceptual: bool,
    /// A diffusion model as teacher, with its text encoder.
    pub teacher: bool,
}

/// Networks that losses are made of.
#[derive(Default)]
pub struct Networks {
    /// CLIP models.
    pub clip: Vec<Guide>,
    /// The CLIP model of the texture term, where that is weighted.
    pub texture: Option<Guide>,
    /// The perceptual distance.
    pub distance: Option<Arc<dyn ImageDistance>>,
    /// The diffusion model that teaches.
    pub teacher: Option<Arc<Translator>>,
}

/// What methods are made from.
pub struct World<'a> {
    /// The run's settings.
    pub config: &'a Config,
    /// The networks.
    pub networks: &'a Networks,
    /// A folder for text features and target pictures.
    pub cache: Option<&'a Path>,
    /// Where pictures are made.
    pub device: &'a Device,
    /// Numbers in a latent.
    pub latent_dim: usize,
    /// Width and height of a picture.
    pub resolution: usize,
    /// Seed of what a method draws at its beginning, and of its streams.
    pub seed: u64,
    /// The discriminator of the source domain, where the generator has one.
    pub discriminator: Option<&'a Discriminator>,
    /// The sets of pictures that tasks name.
    pub sets: &'a Sets,
    /// Some pictures that the source makes, `[k, c, h, w]`.
    pub source_pictures: &'a dyn Fn() -> Result<Tensor>,
}

/// The method of that name.
///
/// # Errors
///
/// There is none; the nearest one is named.
pub fn kind(name: &str) -> std::result::Result<&'static dyn Kind, String> {
    let known = || KINDS.iter().map(|kind| kind.name());
    let found = KINDS.iter().find(|kind| kind.name() == name);
    found.copied().ok_or_else(|| {
        let hint = nearest(name, known())
            .map_or(String::new(), |word| format!("; did you mean {word:?}?"));
        let known: Vec<_> = known().collect();
        format!(
            "method {name:?}, expected one of {}{hint}",
            known.join(", ")
        )
    })
}

/// Those of a run.
pub(crate) type Methods = Vec<Box<dyn Method>>;

/// A method's place among those of a run, and a task's number in it.
pub(crate) type Numbered = (usize, usize);

/// The methods of a run, and for each task the method's place among them and the task's number in it.
pub(crate) fn build(tasks: &[TaskSpec], world: &World<'_>) -> Result<(Methods, Vec<Numbered>)> {
    let mut methods = Vec::new();
    let mut places = vec![(0, 0); tasks.len()];
    for kind in KINDS {
        let own: Vec<usize> = (0..tasks.len())
            .filter(|&at| tasks[at].method() == kind.name())
            .collect();
        if own.is_empty() {
            continue;
        }
        for (number, &at) in own.iter().enumerate() {
            places[at] = (methods.len(), number);
        }
        let own: Vec<&TaskSpec> = own.iter().map(|&at| &tasks[at]).collect();
        methods.push(kind.build(&own, world)?);
    }
    Ok((methods, places))
}

/// A task's own keys as its method reads them.
fn keys<T: DeserializeOwned>(task: &TaskSpec) -> Result<T> {
    serde_json::from_value(Json::Object(task.keys().clone())).map_err(|error| {
        let expected = format!("those of method {:?}", task.method());
        Error::setting("keys", with_suggestion(&error.to_string()), expected)
    })
}

/// Says of a key that a method does not have which one it may be meant for.
pub(crate) fn unknown_key(kind: &dyn Kind, key: &str, common: &[&str]) -> Option<String> {
    if common.contains(&key) || kind.keys().contains(&key) {
        return None;
    }
    let name = kind.name();
    let others = KINDS
        .iter()
        .filter(|other| other.keys().contains(&key))
        .map(|other| format!("{:?}", other.name()))
        .collect::<Vec<_>>();
    let known: Vec<&str> = common.iter().chain(kind.keys()).copied().collect();
    let hint = match others.is_empty() {
        false => format!("; it is a key of method {}", others.join(" and ")),
        true => nearest(key, known.iter().copied())
            .map_or(String::new(), |word| format!("; did you mean `{word}`?")),
    };
    let known = known.join("`, `");
    Some(format!(
        "unknown key `{key}` of a task of method {name:?}, expected one of `{known}`{hint}"
    ))
}

/// Replaces the list of pictures under `key`.
fn resolve_list(task: &mut TaskSpec, key: &str, list: &dyn ListFiles) -> Result<()> {
    let Some(Json::Array(paths)) = task.keys().get(key) else {
        return Ok(());
    };
    let paths: Vec<PathBuf> = paths
        .iter()
        .filter_map(|path| path.as_str().map(PathBuf::from))
        .collect();
    let files = list.pictures(&paths)?;
    task.set(key, json!(files));
    Ok(())
}

/// Replaces the path under `key`.
fn resolve_path(task: &mut TaskSpec, key: &str, list: &dyn ListFiles) -> Result<()> {
    let Some(Json::String(path)) = task.keys().get(key) else {
        return Ok(());
    };
    let path = list.absolute(Path::new(path))?;
    task.set(key, json!(path));
    Ok(())
}

/// The names of files without their folders.
fn file_names(paths: &[PathBuf]) -> Vec<String> {
    let names = paths.iter().filter_map(|path| path.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}
